// Manifests for `appctl apply`: one or several apps in TOML or JSON.
//
//     [apps.myapp]                       { "apps": { "myapp": { "directory": "/srv/myapp", … } } }
//     directory = "/srv/myapp"           { "name": "apps/myapp", "spec": { … } }     as `get -o
//     json` app = "wsgi:app"                   { "apps": [ { "name": …, "spec": … } ] }    as `list
//     -o json` bind = ["127.0.0.1:8000"]
//
// Keys are the fields of AppSpec. What appd only reports (uid, observed, …) is passed over.
// secret_env names files with values for env. Pure, but for those files and for looking up a python
// that is named without a slash in PATH.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "appd/v1/apps.pb.h"
#include "ctl/document.h"
#include "ctl/surroundings.h"

namespace appd::ctl {

struct ManifestApp {
  std::string id;
  v1::AppSpec spec;
  Position at;
  std::map<std::string, Position> fields;  // where each field is set, by its name
};

struct Manifest {
  std::string file;  // as people call it: "apps.toml", "<stdin>"
  std::vector<ManifestApp> apps;
  std::vector<Problem> problems;  // if any, nothing of the manifest is to be used
};

// Relative directories and interpreters are taken against `base`. Reports all problems, not the
// first.
Manifest parse_manifest(std::string_view text, DocumentFormat format, std::string file,
                        const std::string& base, const Environment& environment);

// "apps.toml:3:9: …" with the line itself and a mark under the column, for each problem.
std::string render_problems(const Manifest& manifest, std::string_view text);

}  // namespace appd::ctl
