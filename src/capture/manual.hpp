// What somebody invalidates by hand, in his transaction: the same change set, journal and way as what a trigger notes.
// It goes to the servers on which the current user has USAGE.
#pragma once

#include "pg/postgres.hpp"

namespace cache_invalidate::capture {

enum class Reach {
  some,       // of the servers
  forbidden,  // there are enabled ones, and the user may use none
  nobody      // there is no server that is enabled
};

// Of the current user. May raise an error, as all of these.
Reach reach_of_user(Oid wrapper);
// By name; nullptr: there is none.
const char* first_enabled_server(Oid wrapper);

// One key, or glob, in UTF-8.
void note_key(const char* key);
void note_pattern(const char* glob);

// All that the triggers of the resource could name, of rows with these values (nullptr: of all rows), and a message
// without an id of each. Returns how many triggers that are. `resource` is UTF-8, `scope` an object.
int note_resource(const char* resource, Jsonb* scope);

}  // namespace cache_invalidate::capture
