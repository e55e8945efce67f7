#include "core/json_parser.hpp"

#include <set>

#include "core/json.hpp"

namespace cache_invalidate::core {
namespace {

// Every function that returns bool says false when it met a mistake, and then has described it.
class JsonParser {
 public:
  JsonParser(std::string_view what, std::string_view text) : what_(what), text_(text) {}

  Result<JsonNode> parse() {
    JsonNode root;
    skip_blanks();
    if (!value(root, 0)) return error_;
    skip_blanks();
    if (!at_end()) {
      fail("There is more than one value", position_);
      return error_;
    }
    return root;
  }

 private:
  bool at_end() const { return position_ >= text_.size(); }
  bool sees(char c) const { return !at_end() && text_[position_] == c; }
  bool take(char c) {
    if (!sees(c)) return false;
    ++position_;
    return true;
  }
  void skip_blanks() {
    while (sees(' ') || sees('\t') || sees('\n') || sees('\r')) ++position_;
  }
  bool fail(const std::string& problem, std::size_t position) {
    error_.sqlstate = sqlstate::kSyntaxError;
    error_.message = "invalid JSON in argument \"" + std::string(what_) + "\"";
    error_.detail = problem + at_character(text_, position);
    return false;
  }
  bool missing(const char* thing) { return fail(std::string(thing) + " is missing", position_); }

  bool value(JsonNode& node, int depth) {
    if (sees('{') || sees('[')) {
      if (depth == kDeepestJson) return fail("There are more than " + std::to_string(kDeepestJson) + " levels", position_);
      return sees('{') ? object(node, depth) : array(node, depth);
    }
    if (!sees('"')) return literal(node);
    node.type = JsonNode::Type::string;
    return string(node.text);
  }

  bool object(JsonNode& node, int depth) {
    node.type = JsonNode::Type::object;
    std::set<std::string> names;
    ++position_;
    skip_blanks();
    if (take('}')) return true;
    do {
      skip_blanks();
      const std::size_t start = position_;
      JsonMember member;
      if (!sees('"')) return missing("The name of a member");
      if (!string(member.name)) return false;
      if (!names.insert(member.name).second) return fail("Member \"" + member.name + "\" is given again", start);
      skip_blanks();
      if (!take(':')) return missing("A colon");
      skip_blanks();
      if (!value(member.value, depth + 1)) return false;
      node.members.push_back(std::move(member));
      skip_blanks();
    } while (take(','));
    return take('}') || missing("A comma or \"}\"");
  }

  bool array(JsonNode& node, int depth) {
    node.type = JsonNode::Type::array;
    ++position_;
    skip_blanks();
    if (take(']')) return true;
    do {
      skip_blanks();
      node.elements.emplace_back();
      if (!value(node.elements.back(), depth + 1)) return false;
      skip_blanks();
    } while (take(','));
    return take(']') || missing("A comma or \"]\"");
  }

  bool literal(JsonNode& node) {
    constexpr std::string_view kEnds = " \t\n\r,:[]{}\"";
    const std::size_t start = position_;
    while (!at_end() && kEnds.find(text_[position_]) == std::string_view::npos) ++position_;
    node.text = text_.substr(start, position_ - start);
    if (node.text.empty()) return missing("A value");
    if (node.text == "true" || node.text == "false" || node.text == "null" || is_json_number(node.text)) return true;
    return fail("There is an invalid value", start);
  }

  bool string(std::string& out) {
    const std::size_t start = position_;
    ++position_;
    while (!at_end()) {
      const char c = text_[position_];
      if (take('"')) return true;
      if (static_cast<unsigned char>(c) < 0x20) return fail("There is a control character that is not escaped", position_);
      if (c == '\\') {
        if (!escape(out)) return false;
      } else {
        out.push_back(c);
        ++position_;
      }
    }
    return fail("There is an unterminated string", start);
  }

  bool escape(std::string& out) {
    constexpr std::string_view kNames = "\"\\/bfnrtu";
    constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
    const std::size_t start = position_;
    ++position_;
    const std::size_t which = at_end() ? std::string_view::npos : kNames.find(text_[position_]);
    if (which == std::string_view::npos) return fail("There is an invalid escape", start);
    ++position_;
    if (which < kMeanings.size()) {
      out.push_back(kMeanings[which]);
      return true;
    }
    return unicode_escape(out, start);
  }

  // Stands behind "\u"; `start` is where that stands.
  bool unicode_escape(std::string& out, std::size_t start) {
    std::uint32_t character;
    if (!hex(character)) return fail("There is an invalid escape", start);
    if (character == 0) return fail("There is \"\\u0000\", which no text can hold,", start);
    if (character >= 0xD800 && character < 0xE000) {
      std::uint32_t second = 0;
      const bool is_pair = character < 0xDC00 && take('\\') && take('u') && hex(second) && second >= 0xDC00 && second < 0xE000;
      if (!is_pair) return fail("There is half a surrogate pair", start);
      character = 0x10000 + ((character - 0xD800) << 10) + (second - 0xDC00);
    }
    append_utf8(out, character);
    return true;
  }

  bool hex(std::uint32_t& unit) {
    unit = 0;
    for (int i = 0; i < 4; ++i, ++position_) {
      const char c = at_end() ? ' ' : text_[position_];
      std::uint32_t digit;
      if (c >= '0' && c <= '9') {
        digit = static_cast<std::uint32_t>(c - '0');
      } else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')) {
        digit = static_cast<std::uint32_t>((c | 0x20) - 'a') + 10;
      } else {
        return false;
      }
      unit = unit << 4 | digit;
    }
    return true;
  }

  std::string_view what_;
  std::string_view text_;
  std::size_t position_ = 0;
  Error error_;
};

}  // namespace

Result<JsonNode> parse_json(std::string_view what, std::string_view text) { return JsonParser(what, text).parse(); }

}  // namespace cache_invalidate::core
