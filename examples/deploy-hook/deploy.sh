#!/bin/sh
# A deployment as a step of a pipeline: deploy.sh APP HEALTH_URL [RELEASE]
#
# With RELEASE, the folder of a new release, the app goes there; without it, the code in the app's own folder
# is loaded anew. Exit status: 0 it serves; 3 appd has refused it, and what served before serves on; 1 it served,
# was not healthy, and was rolled back; else as appctl has it. A step that is run again with the same
# DEPLOY_ID (a UUID) changes nothing twice.
set -u

[ $# -ge 2 ] || {
  echo "usage: deploy.sh APP HEALTH_URL [RELEASE]" >&2
  exit 2
}
app=$1 health=$2 release=${3:-}
id=${DEPLOY_ID:-$(cat /proc/sys/kernel/random/uuid)}

# Both wait for the end. What is wrong with new code, its traceback, goes to stderr: to the pipeline's log.
if [ -n "$release" ]; then
  appctl set "$app" --directory "$release" --reason "release $(basename "$release")" --request-id "$id" || exit
else
  appctl reload "$app" --reason "${DEPLOY_REASON:-deploy}" --request-id "$id" || exit
fi

# appd asks each new worker for its health itself, before it has clients (--health-path). This looks from
# where the clients are.
curl --fail --silent --show-error --max-time 10 --retry 2 --output /dev/null "$health" && exit 0

if [ -n "$release" ]; then
  echo "deploy.sh: $health is not well: rolling $app back" >&2
  appctl rollback "$app" --reason "$health is not well"
else
  echo "deploy.sh: $health is not well, and there is no older folder to go back to" >&2
fi
exit 1
