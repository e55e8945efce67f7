#include "redis/reply.hpp"

#include <algorithm>
#include <cstddef>

namespace cache_invalidate::redis {
namespace {

struct KnownError {
  std::string_view start;
  ReplyClass reply_class;
};

// By first word. ERR and NOPERM are listed for first_word(); their class is found by a second look.
constexpr KnownError kWords[] = {
    {"ERR", ReplyClass::transient},
    // The server cannot do it now.
    {"LOADING", ReplyClass::transient},
    {"BUSY", ReplyClass::transient},
    {"MISCONF", ReplyClass::transient},
    {"NOREPLICAS", ReplyClass::transient},
    {"NOGOODSLAVE", ReplyClass::transient},
    {"NOMASTERLINK", ReplyClass::transient},
    {"MASTERDOWN", ReplyClass::transient},
    {"CLUSTERDOWN", ReplyClass::transient},
    {"TRYAGAIN", ReplyClass::transient},
    {"OOM", ReplyClass::transient},
    {"UNBLOCKED", ReplyClass::transient},
    {"IOERR", ReplyClass::transient},
    {"INPROG", ReplyClass::transient},
    {"NOSCRIPT", ReplyClass::transient},
    {"EXECABORT", ReplyClass::transient},
    {"UNKILLABLE", ReplyClass::transient},
    // Another server must be asked.
    {"MOVED", ReplyClass::moved},
    {"ASK", ReplyClass::moved},
    {"READONLY", ReplyClass::moved},
    {"REDIRECT", ReplyClass::moved},
    // A person must change something.
    {"NOAUTH", ReplyClass::configuration},
    {"WRONGPASS", ReplyClass::configuration},
    {"NOPERM", ReplyClass::configuration},
    {"DENIED", ReplyClass::configuration},
    {"NOPROTO", ReplyClass::configuration},
    // This command can never succeed.
    {"CROSSSLOT", ReplyClass::poison},
    {"WRONGTYPE", ReplyClass::poison},
};

// What follows "ERR ". An ERR that is not listed stays transient: no text of a proxy or of a later version
// may turn a whole backlog into dead letters.
constexpr KnownError kErrTexts[] = {
    {"max number of clients", ReplyClass::transient},
    {"invalid password", ReplyClass::configuration},
    {"AUTH", ReplyClass::configuration},
    {"Client sent AUTH", ReplyClass::configuration},
    {"operation not permitted", ReplyClass::configuration},
    {"DB index is out of range", ReplyClass::configuration},
    {"invalid DB index", ReplyClass::configuration},
    {"SELECT is not allowed", ReplyClass::configuration},
    {"unknown command", ReplyClass::configuration},
    {"unknown subcommand", ReplyClass::configuration},
    {"Protocol error", ReplyClass::poison},
    {"wrong number of arguments", ReplyClass::poison},
};

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool starts_with(std::string_view text, std::string_view start) {
  return text.size() >= start.size() && std::equal(start.begin(), start.end(), text.begin(),
                                                   [](char a, char b) { return lower(a) == lower(b); });
}

std::string_view word_of(std::string_view error_line) {
  return error_line.substr(0, error_line.find_first_of(" \t\r\n"));
}

const KnownError* find_word(std::string_view word) {
  const auto* const found = std::find_if(std::begin(kWords), std::end(kWords),
                                         [word](const KnownError& known) { return known.start == word; });
  return found == std::end(kWords) ? nullptr : found;
}

ReplyClass classify_err(std::string_view text) {
  for (const KnownError& known : kErrTexts) {
    if (starts_with(text, known.start)) return known.reply_class;
  }
  return ReplyClass::transient;
}

// Being forbidden a command concerns everything we send; being forbidden a key or a channel, only this one.
ReplyClass classify_noperm(std::string_view text) {
  const auto contains = [text](std::string_view part) { return text.find(part) != std::string_view::npos; };
  if (contains("to run ")) return ReplyClass::configuration;
  return contains(" key") || contains(" channel") ? ReplyClass::poison : ReplyClass::configuration;
}

}  // namespace

ReplyClass classify_error(std::string_view error_line) {
  const std::string_view word = word_of(error_line);
  const std::string_view text = error_line.substr(std::min(word.size() + 1, error_line.size()));
  if (word == "ERR") return classify_err(text);
  if (word == "NOPERM") return classify_noperm(text);
  const KnownError* const known = find_word(word);
  return known == nullptr ? ReplyClass::transient : known->reply_class;
}

std::string first_word(std::string_view error_line) {
  const KnownError* const known = find_word(word_of(error_line));
  return std::string(known == nullptr ? std::string_view(kUnrecognizedError) : known->start);
}

}  // namespace cache_invalidate::redis
