// The options of both programs: --name value.
#pragma once

#include <cstdlib>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>

namespace cache_invalidate::consistency {

class Arguments {
 public:
  // The names that are known, with what they are if they are not given; a name without a value is a switch.
  // Throws std::runtime_error.
  Arguments(int count, char** words, std::map<std::string, std::string> known,
            const std::map<std::string, bool>& switches)
      : values_(std::move(known)) {
    for (int i = 1; i < count; ++i) {
      const std::string word = words[i];
      const std::string name = word.substr(0, 2) == "--" ? word.substr(2) : "";
      if (switches.count(name) != 0) {
        values_[name] = "1";
      } else if (values_.count(name) != 0 && i + 1 < count) {
        values_[name] = words[++i];
      } else {
        throw std::runtime_error("what is \"" + word + "\"?");
      }
    }
  }

  const std::string& text(const std::string& name) const { return values_.at(name); }
  bool has(const std::string& name) const { return values_.count(name) != 0 && !values_.at(name).empty(); }
  long long number(const std::string& name) const { return std::strtoll(text(name).c_str(), nullptr, 10); }
  const std::string& required(const std::string& name) const {
    if (!has(name)) throw std::runtime_error("--" + name + " is missing");
    return text(name);
  }

 private:
  std::map<std::string, std::string> values_;
};

}  // namespace cache_invalidate::consistency
