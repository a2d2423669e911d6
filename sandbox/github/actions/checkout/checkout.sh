#!/usr/bin/env bash
# What actions/checkout does: a repository's files at a commit, in a folder of the workspace.
set -euo pipefail

folder="$GITHUB_WORKSPACE/$CHECKOUT_PATH"
case "$(realpath -m "$folder")/" in
"$(realpath -m "$GITHUB_WORKSPACE")"/*) ;;
*)
	echo "::error::Repository path '$CHECKOUT_PATH' is not under '$GITHUB_WORKSPACE'"
	exit 1
	;;
esac
address="$GITHUB_SERVER_URL/$CHECKOUT_REPOSITORY"
ref="$CHECKOUT_REF"
commit=""
if [ -z "$ref" ] && [ "$CHECKOUT_REPOSITORY" = "$GITHUB_REPOSITORY" ]; then
	ref="$GITHUB_REF"
	commit="$GITHUB_SHA"
fi
mkdir -p "$folder"
cd "$folder"
if [ ! -d .git ]; then
	if [ "$CHECKOUT_CLEAN" = true ]; then find . -mindepth 1 -delete; fi
	git -c init.defaultBranch=main init --quiet .
fi
export GIT_TERMINAL_PROMPT=0
# In git's environment, not on its command line, where everybody on the machine could read it.
header="AUTHORIZATION: basic $(printf 'x-access-token:%s' "$CHECKOUT_TOKEN" | base64 -w 0)"
echo "::add-mask::${header##* }"
if [ -n "$CHECKOUT_TOKEN" ]; then
	export GIT_CONFIG_COUNT=1
	export GIT_CONFIG_KEY_0="http.$GITHUB_SERVER_URL/.extraheader"
	export GIT_CONFIG_VALUE_0="$header"
fi
git remote remove origin 2>/dev/null || true
git remote add origin "$address"

options=(--quiet --no-recurse-submodules)
if [ "$CHECKOUT_DEPTH" = 0 ]; then
	specs=('+refs/heads/*:refs/remotes/origin/*' '+refs/tags/*:refs/tags/*')
else
	options+=("--depth=$CHECKOUT_DEPTH")
	specs=()
fi
if [ "$CHECKOUT_TAGS" = true ]; then options+=(--tags); else options+=(--no-tags); fi

# A short name is a branch or a tag; git ls-remote knows which.
full=""
case "$ref" in
refs/*) full="$ref" ;;
"") full="HEAD" ;;
*)
	if [[ "$ref" =~ ^[0-9a-fA-F]{40}$ ]]; then
		commit="$ref"
		ref=""
	else
		heads="$(git ls-remote origin "refs/heads/$ref" "refs/tags/$ref")"
		if grep -q "refs/heads/" <<<"$heads"; then
			full="refs/heads/$ref"
		elif [ -n "$heads" ]; then
			full="refs/tags/$ref"
		else
			echo "::error::A branch or tag with the name '$ref' could not be found"
			exit 1
		fi
	fi
	;;
esac
git fetch "${options[@]}" origin "${commit:-$full}" ${specs[@]+"${specs[@]}"}
commit="${commit:-$(git rev-parse FETCH_HEAD^\{commit\})}"

case "$full" in
refs/heads/*)
	branch="${full#refs/heads/}"
	git update-ref "refs/remotes/origin/$branch" "$commit"
	git checkout --quiet --force -B "$branch" "$commit"
	git config "branch.$branch.remote" origin
	git config "branch.$branch.merge" "$full"
	;;
*)
	if [[ "$full" = refs/tags/* ]]; then git update-ref "$full" FETCH_HEAD; fi
	git checkout --quiet --force --detach "$commit"
	;;
esac
if [ "$CHECKOUT_SUBMODULES" != false ]; then
	recursive=()
	if [ "$CHECKOUT_SUBMODULES" = recursive ]; then recursive=(--recursive); fi
	git submodule update --init ${recursive[@]+"${recursive[@]}"}
fi
if [ "$CHECKOUT_PERSIST" = true ] && [ -n "$CHECKOUT_TOKEN" ]; then
	(
		umask 077
		printf '[http "%s/"]\n\textraheader = %s\n' "$GITHUB_SERVER_URL" "$header" >>.git/config
	)
fi
git --no-pager log -1 --format='HEAD is now at %h %s'
{
	echo "ref=${full:-$ref}"
	echo "commit=$commit"
} >>"$GITHUB_OUTPUT"
