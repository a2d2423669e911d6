"""The hook of every repository: it holds a push to what only git can tell.

It is asked for each ref by itself, so that one refused ref does not take the others with it.
What to look at stands in SANDBOX_PUSH_RULES, a line a rule: ref (or `*`), rule, and words for
`deny`, parted by tabs.
"""

from pathlib import Path

from sandbox.github import rules

ENVIRONMENT = "SANDBOX_PUSH_RULES"

_HOOK = r"""#!/bin/sh
ref=$1 old=$2 new=$3
none=0000000000000000000000000000000000000000
tab=$(printf '\t')
found=
refused=
while IFS="$tab" read -r which rule words; do
    [ "$which" = "$ref" ] || [ "$which" = '*' ] || continue
    case $rule in
    deny) found="$found- $words
" ;;
    non_fast_forward)
        if [ "$old" != $none ] && [ "$new" != $none ] &&
            ! git merge-base --is-ancestor "$old" "$new"; then
            found="$found- FORCED
"
        fi ;;
    required_linear_history)
        [ "$old" = $none ] && range="$new --not --all" || range="$old..$new"
        if [ "$new" != $none ] && [ -n "$(git rev-list --merges --max-count=1 $range)" ]; then
            found="$found- MERGES
"
        fi ;;
    workflows)
        [ "$new" = $none ] && continue
        path=$(git log --format= --name-only "$new" --not --all -- .github/workflows |
            sed -n 1p)
        [ -z "$path" ] || refused="$words \`$path\` without \`workflows\` permission" ;;
    esac
done <<END
$SANDBOX_PUSH_RULES
END
if [ -n "$refused" ]; then
    echo "error: $refused" >&2
    exit 1
fi
if [ -n "$found" ]; then
    printf 'error: GH013: Repository rule violations found for %s.\n\n%s\n' "$ref" "$found" >&2
    exit 1
fi
"""


def install(folder: Path) -> None:
    """Put the hook into a bare repository, where it is not there as it should be."""
    text = _HOOK.replace("FORCED", rules.FORCED).replace("MERGES", rules.MERGES)
    hook = folder / "hooks" / "update"
    if not hook.exists() or hook.read_text() != text:
        hook.parent.mkdir(exist_ok=True)
        fresh = hook.with_suffix(".new")
        fresh.write_text(text)
        fresh.chmod(0o755)
        fresh.replace(hook)
