// Fills the page from the API, and keeps it fresh.
const after = { open: "mapped", mapped: "validated", validated: "open" };
const place = (id) => document.getElementById(id);

async function ask(path, options) {
  const answer = await fetch(path, options);
  if (!answer.ok) throw new Error(`${path} answered ${answer.status}`);
  return answer.json();
}

function show(task) {
  let button = place(`task-${task.id}`);
  if (!button) {
    button = document.createElement("button");
    button.id = `task-${task.id}`;
    button.addEventListener("click", () => attempt(() => change(button)));
    place("map").append(button);
  }
  button.className = task.status;
  button.textContent = `${"ABCD"[task.y]}${task.x + 1}`;
  button.title = task.status;
  button.setAttribute("aria-label", `${button.textContent}: ${task.status}`);
}

async function change(button) {
  show(await ask(`/api/tasks/${button.id.slice(5)}`, {
    method: "PUT",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ status: after[button.className] }),
  }));
}

async function refresh() {
  const [version, tasks, stats] = await Promise.all(
    ["/api/version", "/api/tasks", "/api/stats"].map((path) => ask(path)),
  );
  place("stage").textContent = version.stage;
  place("version").textContent = version.version;
  place("api").textContent = version.version;
  place("commit").textContent = version.commit.slice(0, 12);
  tasks.forEach(show);
  for (const status of Object.keys(after)) place(status).textContent = stats[status];
  place("refreshed").textContent = stats.refreshed_at
    ? `at ${new Date(stats.refreshed_at).toLocaleTimeString()}`
    : "soon";
}

async function attempt(action) {
  try {
    await action();
    place("problem").hidden = true;
  } catch (error) {
    place("problem").textContent = `The API does not answer: ${error.message}`;
    place("problem").hidden = false;
  }
}

attempt(refresh);
setInterval(() => attempt(refresh), 10_000);
