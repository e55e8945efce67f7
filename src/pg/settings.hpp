// The settings cache_invalidate.*, read by whichever process needs them.
#pragma once

namespace cache_invalidate::settings {

enum Durability : int { kDurabilityOff, kDurabilityOn };

extern bool enabled;                 // capture in this session
extern char* notify_channel;         // of messages whose trigger names none; empty: no such message is sent
extern int batch_window;             // milliseconds a push waits for more; 0: as soon as possible
extern int batch_size;               // items in one push
extern int durability;               // of this session's batches: a Durability
extern int error_log_limit;          // rows
extern int error_log_retention;      // seconds; 0: for ever
extern int max_backlog_keys;         // kept in memory a target; beyond that they are widened to patterns
extern int max_change_set_memory;    // kilobytes a transaction keeps before it writes to the journal early
extern int max_journal_size;         // megabytes; then what is owed is folded
extern int max_items_per_transaction;  // distinct keys and messages; then templates that give very many are widened
extern double notify_queue_limit;    // per cent of the server's queue; then NOTIFY is held back
extern int replay_window;            // milliseconds of what was delivered, for a target that forgot
extern int ring_size;                // kilobytes
extern int signal_timeout;           // milliseconds that a message waits for a target that does not answer
extern char* worker_role;            // that workers connect as; empty: the server's own, and then the extension's owner

// Once a process, from _PG_init.
void define();

}  // namespace cache_invalidate::settings
