// The table of verbs, in the order of the help.
#include "ctl/verbs.h"

#include <array>

namespace appd::ctl {
namespace {

constexpr const char* kSet = "Setting up";
constexpr const char* kChange = "Changing what runs";
constexpr const char* kLook = "Looking";
constexpr const char* kDaemon = "appd itself";
constexpr const char* kSelf = "appctl itself";

constexpr auto kVerbs = std::to_array<Verb>({
    {"create", kSet, true, "register an app and start it",
     "appctl create myapp --directory /srv/myapp --app wsgi:app --bind 127.0.0.1:8000 --workers 4",
     add_create},
    {"apply", kSet, true, "make apps what a manifest says", "appctl apply -f apps.toml --dry-run",
     add_apply},
    {"set", kSet, true, "change settings of an app",
     "appctl set myapp --timeout 1m30s --env DEBUG=0", add_set},
    {"delete", kSet, true, "drain an app and forget it, without asking back", "appctl delete myapp",
     add_delete},
    {"scale", kChange, true, "change the size and the class of the pool",
     "appctl scale myapp --workers 17 --threads 4", add_scale},
    {"reload", kChange, true, "load the code anew; bad code never replaces good",
     "appctl reload myapp --reason \"release 42\"", add_reload},
    {"rollback", kChange, true, "back to the last good revision, or to any other",
     "appctl rollback myapp --to 12", add_rollback},
    {"recycle", kChange, true, "replace one worker, without a dip", "appctl recycle myapp 3",
     add_recycle},
    {"stop", kChange, true, "drain an app and keep it stopped, reboots included",
     "appctl stop myapp", add_stop},
    {"start", kChange, true, "start a stopped app", "appctl start myapp", add_start},
    {"wait", kChange, true, "wait for the end of an operation",
     "appctl wait \"$(appctl reload myapp --no-wait)\"", add_wait},
    {"cancel", kChange, true, "take back a change that is still being proved",
     "appctl cancel operations/1b4e28ba-2fa1-41d2-883f-0016d3cca427", add_cancel},
    {"status", kLook, false, "appd and every app on one screen", "appctl status", add_status},
    {"top", kLook, false, "apps and workers as they are now, with keys to scale and reload",
     "appctl top --sort rate", add_top},
    {"list", kLook, false, "all apps", "appctl list -o json", add_list},
    {"get", kLook, false, "one app in full", "appctl get myapp", add_get},
    {"workers", kLook, false, "worker processes", "appctl workers myapp -o json", add_workers},
    {"stacks", kLook, false, "what the threads, tasks and greenlets of workers are at",
     "appctl stacks myapp 3", add_stacks},
    {"requests", kLook, false, "what workers have in hand now, and the end of one",
     "appctl requests myapp --cancel 3/1207", add_requests},
    {"operations", kLook, false, "changes and how they ended", "appctl operations myapp",
     add_operations},
    {"history", kLook, false, "who changed what when and why, and how it ended",
     "appctl history myapp", add_history},
    {"diff", kLook, false, "what differs between two revisions", "appctl diff myapp --from 12",
     add_diff},
    {"events", kLook, false, "what is, and with -f what happens", "appctl events myapp -f",
     add_events},
    {"logs", kLook, false, "what an app writes, and its access log",
     "appctl logs myapp -f --since 10m --grep ERROR --worker 3", add_logs},
    {"reopen-logs", kLook, false, "for logrotate: log files are opened again by their names",
     "appctl reopen-logs", add_reopen_logs},
    {"doctor", kLook, false, "what is wrong with host and apps, and what to do",
     "appctl doctor myapp", add_doctor},
    {"backup", kDaemon, false, "a copy of the state, while appd runs",
     "appctl backup /var/backups/appd-$(date +%F).db", add_backup},
    {"restore", kDaemon, true, "all apps of a backup, with their histories, or none",
     "appctl restore /var/backups/appd-2026-11-27.db --dry-run", add_restore},
    {"upgrade", kDaemon, true, "replace appd by another binary while everything serves",
     "appctl upgrade --binary /opt/appd-2/bin/appd", add_upgrade},
    {"shutdown", kDaemon, true, "drain all apps and end appd, or keep them serving without it",
     "appctl shutdown --keep-apps", add_shutdown},
    {"token", kDaemon, false, "secrets by which callers from elsewhere prove who they are",
     "appctl token create ci --role deployer --app web --expires 30d > ci.token", add_token},
    {"context", kSelf, false, "names for the appds of several hosts",
     "appctl context add shop unix:/run/shop/appd.sock", add_context, true},
    {"completion", kSelf, false, "completions for bash, zsh or fish, as a script",
     "source <(appctl completion bash)", add_completion, true},
    {"man", kSelf, false, "manual pages, for man -l", "appctl man reload | man -l -", add_man,
     true},
    {"version", kSelf, false, "versions of appctl and appd", "appctl version", add_version},
});

}  // namespace

std::span<const Verb> verbs() { return kVerbs; }

}  // namespace appd::ctl
