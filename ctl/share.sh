#!/bin/sh
# share.sh APPCTL FOLDER: writes manual pages and completions as they lie below /usr/share.
set -eu
appctl=$1
share=$2
mkdir -p "$share/man/man1" "$share/bash-completion/completions" "$share/zsh/site-functions" \
  "$share/fish/vendor_completions.d"
"$appctl" completion bash >"$share/bash-completion/completions/appctl"
"$appctl" completion zsh >"$share/zsh/site-functions/_appctl"
"$appctl" completion fish >"$share/fish/vendor_completions.d/appctl.fish"
"$appctl" man >"$share/man/man1/appctl.1"
"$appctl" __complete "" | cut -f 1 | while read -r verb; do
  "$appctl" man "$verb" >"$share/man/man1/appctl-$verb.1"
done
touch "$share/appctl.stamp"
