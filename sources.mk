# What is compiled and what is tested. A file that is not listed here does not exist for the build;
# scripts/check_house sees to it that each is.

# Pure C++: neither the server's headers nor a Redis library.
CORE_SRCS = \
	src/core/backlog.cpp \
	src/core/batch.cpp \
	src/core/byte_set.cpp \
	src/core/change_set.cpp \
	src/core/channel_template.cpp \
	src/core/commit_times.cpp \
	src/core/error_folds.cpp \
	src/core/expand.cpp \
	src/core/glob.cpp \
	src/core/json.cpp \
	src/core/json_parser.cpp \
	src/core/key_families.cpp \
	src/core/latency.cpp \
	src/core/message_queue.cpp \
	src/core/net_effect.cpp \
	src/core/payload.cpp \
	src/core/payload_program.cpp \
	src/core/payload_template.cpp \
	src/core/payload_values.cpp \
	src/core/pending_keys.cpp \
	src/core/pending_patterns.cpp \
	src/core/rule.cpp \
	src/core/rule_binding.cpp \
	src/core/second_deletes.cpp \
	src/core/snapshot.cpp \
	src/core/template.cpp \
	src/core/template_list.cpp \
	src/core/watermark.cpp

# hiredis, and nothing of the server.
REDIS_SRCS = \
	src/redis/connection.cpp \
	src/redis/cure.cpp \
	src/redis/identity.cpp \
	src/redis/output_buffer.cpp \
	src/redis/reply.cpp \
	src/redis/reply_reader.cpp \
	src/redis/transport.cpp \
	src/redis/url.cpp

# The rest knows the server, through src/pg.
PG_SRCS = \
	src/pg/crash_point.cpp \
	src/pg/extension.cpp \
	src/pg/foreign_servers.cpp \
	src/pg/guard.cpp \
	src/pg/module.cpp \
	src/pg/privileges.cpp \
	src/pg/settings.cpp \
	src/pg/text.cpp
CAPTURE_SRCS = \
	src/capture/all_triggers.cpp \
	src/capture/blind_spots.cpp \
	src/capture/check_ddl.cpp \
	src/capture/check_rename.cpp \
	src/capture/check_trigger.cpp \
	src/capture/ddl_changes.cpp \
	src/capture/foreign_lookup.cpp \
	src/capture/foreign_path.cpp \
	src/capture/inheritance.cpp \
	src/capture/manual.cpp \
	src/capture/reset.cpp \
	src/capture/row_changes.cpp \
	src/capture/row_reader.cpp \
	src/capture/rule_cache.cpp \
	src/capture/scope_values.cpp \
	src/capture/table_changes.cpp \
	src/capture/table_facts.cpp \
	src/capture/table_triggers.cpp \
	src/capture/transaction.cpp \
	src/capture/trigger.cpp \
	src/capture/trigger_counts.cpp \
	src/capture/vocabulary.cpp
JOURNAL_SRCS = \
	src/journal/board.cpp \
	src/journal/handover.cpp \
	src/journal/ring.cpp \
	src/journal/scan.cpp \
	src/journal/segment.cpp \
	src/journal/shared.cpp \
	src/journal/trigger_table.cpp
DELIVERY_SRCS = \
	src/delivery/ddl_watch.cpp \
	src/delivery/dispatcher.cpp \
	src/delivery/error_table.cpp \
	src/delivery/error_writer.cpp \
	src/delivery/feed.cpp \
	src/delivery/gate.cpp \
	src/delivery/launcher.cpp \
	src/delivery/listeners.cpp \
	src/delivery/notify_queue.cpp \
	src/delivery/outbox.cpp \
	src/delivery/owed_copy.cpp \
	src/delivery/pauses.cpp \
	src/delivery/presence.cpp \
	src/delivery/probe_watch.cpp \
	src/delivery/progress.cpp \
	src/delivery/ring_only.cpp \
	src/delivery/segment_keeper.cpp \
	src/delivery/signals.cpp \
	src/delivery/sweep.cpp \
	src/delivery/target.cpp \
	src/delivery/target_catalog.cpp \
	src/delivery/target_connection.cpp \
	src/delivery/target_options.cpp \
	src/delivery/target_pipeline.cpp \
	src/delivery/target_publish.cpp \
	src/delivery/time_slice.cpp \
	src/delivery/waiter.cpp \
	src/delivery/worker.cpp \
	src/delivery/worker_role.cpp \
	src/delivery/worker_sight.cpp \
	src/delivery/worker_slot.cpp
ADMIN_SRCS = \
	src/admin/condition.cpp \
	src/admin/attach.cpp \
	src/admin/attach_options.cpp \
	src/admin/attach_schema.cpp \
	src/admin/attached_triggers.cpp \
	src/admin/control.cpp \
	src/admin/error_log.cpp \
	src/admin/explain.cpp \
	src/admin/imagined_change.cpp \
	src/admin/installation.cpp \
	src/admin/manual.cpp \
	src/admin/probe.cpp \
	src/admin/rule_check.cpp \
	src/admin/rules.cpp \
	src/admin/stats.cpp \
	src/admin/validator.cpp


# test/unit: one program of the tests, CORE_SRCS and REDIS_SRCS, and what else is pure.
UNIT_TESTS = \
	test/unit/allocation_classes_test.cpp \
	test/unit/allocation_test.cpp \
	test/unit/backlog_test.cpp \
	test/unit/backoff_test.cpp \
	test/unit/batch_test.cpp \
	test/unit/byte_set_test.cpp \
	test/unit/change_set_model_test.cpp \
	test/unit/change_set_test.cpp \
	test/unit/channel_template_test.cpp \
	test/unit/commit_times_test.cpp \
	test/unit/corpus_test.cpp \
	test/unit/crowd_test.cpp \
	test/unit/error_folds_test.cpp \
	test/unit/expand_test.cpp \
	test/unit/glob_test.cpp \
	test/unit/json_parser_test.cpp \
	test/unit/json_test.cpp \
	test/unit/judge_test.cpp \
	test/unit/key_families_test.cpp \
	test/unit/latency_test.cpp \
	test/unit/message_queue_bytes_test.cpp \
	test/unit/message_queue_test.cpp \
	test/unit/net_effect_test.cpp \
	test/unit/pace_test.cpp \
	test/unit/parts_test.cpp \
	test/unit/payload_program_test.cpp \
	test/unit/payload_test.cpp \
	test/unit/pending_keys_test.cpp \
	test/unit/pending_patterns_test.cpp \
	test/unit/redis_connection_test.cpp \
	test/unit/redis_cure_test.cpp \
	test/unit/redis_identity_test.cpp \
	test/unit/redis_reply_test.cpp \
	test/unit/redis_url_test.cpp \
	test/unit/ring_test.cpp \
	test/unit/rule_binding_test.cpp \
	test/unit/rule_parse_test.cpp \
	test/unit/second_deletes_test.cpp \
	test/unit/snapshot_test.cpp \
	test/unit/sweep_test.cpp \
	test/unit/target_options_test.cpp \
	test/unit/template_list_test.cpp \
	test/unit/template_test.cpp \
	test/unit/watermark_test.cpp
# test/fuzz/NAME.cpp with test/fuzz/corpus/NAME. Fuzzed by "make fuzz"; the unit tests replay the corpus.
FUZZ_TARGETS = arguments templates urls payloads replies batches watermarks
UNIT_EXTRA_SRCS = \
	src/delivery/sweep.cpp \
	src/delivery/target_options.cpp \
	src/journal/ring.cpp \
	test/consistency/tally.cpp \
	test/consistency/verdict.cpp

# sql/NAME.sql with expected/NAME.out. Those of REGRESS_UNPRELOADED are run a second time on a server
# that does not preload the library.
REGRESS = \
	install \
	preloading \
	arguments \
	servers \
	capture \
	statements \
	cascades \
	ddl \
	ddl_capture \
	keys \
	paths \
	widening \
	types \
	encodings \
	transactions \
	transactions_deep \
	prepared \
	functions \
	trigger_health \
	coverage \
	reset_pause \
	manual \
	enable \
	durability \
	explain \
	worker \
	payloads
REGRESS_UNPRELOADED = $(filter-out worker payloads,$(REGRESS))

# test/isolation/specs/NAME.spec with test/isolation/expected/NAME.out
ISOLATION = \
	attach \
	attach_schema \
	savepoints \
	ddl \
	overlap \
	explain \
	paths \
	table_changes \
	two_phase

# Builds of the module that tests load instead of what is installed: see scripts/variant.
TEST_VARIANTS = crash_points

# test/consistency: the clients of the consistency checker, and their judge.
CONSISTENCY_SRCS = \
	test/consistency/cache.cpp \
	test/consistency/database.cpp \
	test/consistency/log.cpp \
	test/consistency/verdict.cpp
CONSISTENCY_CLIENTS_SRCS = \
	test/consistency/clients.cpp \
	test/consistency/reader.cpp \
	test/consistency/schema.cpp \
	test/consistency/settle.cpp \
	test/consistency/subscription.cpp \
	test/consistency/writer.cpp
CONSISTENCY_JUDGE_SRCS = \
	test/consistency/judge.cpp \
	test/consistency/evidence.cpp \
	test/consistency/report.cpp \
	test/consistency/tally.cpp \
	test/consistency/trial.cpp

# bench: each program from bench/NAME.cpp and what they share.
BENCH_PROGRAMS = consumer latency paired
BENCH_SRCS = \
	bench/deleter.cpp \
	bench/ending.cpp \
	bench/keys.cpp \
	bench/queues.cpp \
	bench/relay.cpp \
	bench/session.cpp \
	bench/stream.cpp
