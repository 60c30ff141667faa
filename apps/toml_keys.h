// SPDX-License-Identifier: Apache-2.0
//
// Keys of a TOML file, each with what it may hold and where that goes.  Every error names the file
// and the line.
//
//     Setters keys{{"trigger", number(settings.trigger, 0, 10)}, …};
//     FL_TRY(const toml::table file, parse_toml(text, "x.toml"));
//     FL_TRY_STATUS(take_keys("x.toml", file, "the file", keys));
//
// Included by few files only: toml++ takes seconds to compile.
//
// Thread-safety: pure functions.  Setters borrow the variables they set.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <toml++/toml.h>

#include "base/result.h"

namespace fairlead::apps {

using Setter = std::function<base::Status(const toml::node&)>;
using Setters = std::map<std::string, Setter>;

base::Result<toml::table> parse_toml(const std::string& text, const std::string& origin);

// "x.toml line 3: WHY"
base::Error wrong_at(const std::string& origin, const toml::node& node, const std::string& why);
base::Status refuse(const std::string& what);

Setter number(double& to, double least, double most);
Setter count(std::uint32_t& to, std::uint32_t most);
Setter flag(bool& to);

// `section` is what errors call the table.  Keys of `others` are passed over.
base::Status take_keys(const std::string& origin, const toml::table& table,
                       const std::string& section, const Setters& setters,
                       const std::vector<std::string>& others = {});

}  // namespace fairlead::apps
