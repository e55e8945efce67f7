-- All that can differ between two installations of the extension, a row each, without numbers that differ always.
-- Columns are counted without dropped ones: what an upgrade adds stands last in both.
WITH extension AS (SELECT * FROM pg_extension WHERE extname = 'cache_invalidate'),
  member AS (
    SELECT d.classid, d.objid, i.type, i.identity
      FROM pg_depend d JOIN extension x ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = x.oid AND d.deptype = 'e'
      CROSS JOIN pg_identify_object(d.classid, d.objid, 0) i),
  relation AS (SELECT c.*, m.type, m.identity FROM member m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid),
  -- those of the tables, with what belongs to the tables
  part AS (
    SELECT c.oid, c.oid AS relation FROM relation c
    UNION SELECT i.indexrelid, i.indrelid FROM pg_index i JOIN relation c ON c.oid = i.indrelid
    UNION SELECT d.objid, d.refobjid FROM pg_depend d JOIN relation c ON d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid
                                    AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
     AND EXISTS (SELECT FROM pg_class o WHERE o.oid = d.objid AND o.relkind <> 't'))
SELECT * FROM (
  SELECT 'extension' AS object, concat_ws(' ', extnamespace::regnamespace, extrelocatable, extowner::regrole, extconfig::regclass[], extcondition) AS what FROM extension
  UNION ALL SELECT type || ' ' || identity, 'member' FROM member
  UNION ALL SELECT m.type || ' ' || m.identity, 'comment ' || o.objsubid || ' ' || o.description
    FROM member m JOIN pg_description o ON o.classoid = m.classid AND o.objoid = m.objid
  UNION ALL SELECT m.type || ' ' || m.identity, 'rights at first ' || p.objsubid || ' ' || p.initprivs::text
    FROM member m JOIN pg_init_privs p ON p.classoid = m.classid AND p.objoid = m.objid
  UNION ALL SELECT m.type || ' ' || m.identity, concat_ws(' ', 'function', pg_get_functiondef(p.oid), 'owner', p.proowner::regrole, 'rights', p.proacl)
    FROM member m JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid AND p.prokind <> 'a'
  UNION ALL SELECT m.type || ' ' || m.identity, concat_ws(' ', 'event trigger', evtevent, evtfoid::regprocedure, evtenabled, evttags, evtowner::regrole)
    FROM member m JOIN pg_event_trigger e ON m.classid = 'pg_event_trigger'::regclass AND e.oid = m.objid
  UNION ALL SELECT m.type || ' ' || m.identity, concat_ws(' ', 'wrapper', fdwhandler::regprocedure, fdwvalidator::regprocedure, fdwoptions, fdwowner::regrole, 'rights', fdwacl)
    FROM member m JOIN pg_foreign_data_wrapper f ON m.classid = 'pg_foreign_data_wrapper'::regclass AND f.oid = m.objid
  UNION ALL SELECT 'relation ' || c.oid::regclass, concat_ws(' ', c.relkind, c.relpersistence, am.amname, 'options', c.reloptions, 'toast', t.reloptions,
      'owner', c.relowner::regrole, 'rights', c.relacl, c.relrowsecurity, c.relforcerowsecurity, c.relreplident,
      CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) WHEN c.relkind = 'i' THEN pg_get_indexdef(c.oid) END)
    FROM part p JOIN pg_class c ON c.oid = p.oid LEFT JOIN pg_am am ON am.oid = c.relam LEFT JOIN pg_class t ON t.oid = c.reltoastrelid
  UNION ALL SELECT 'relation ' || p.oid::regclass, concat_ws(' ', 'column', row_number() OVER (PARTITION BY a.attrelid ORDER BY a.attnum), a.attname,
      format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated, a.attstorage, a.attcompression, a.attcollation::regcollation,
      -- some servers stamp columns with when they were made
      (SELECT array_agg(o) FROM unnest(a.attoptions) o WHERE o !~ '^pg_attver='), 'rights', a.attacl, 'default', pg_get_expr(f.adbin, f.adrelid), 'comment', col_description(a.attrelid, a.attnum))
    FROM part p JOIN pg_attribute a ON a.attrelid = p.oid AND a.attnum > 0 AND NOT a.attisdropped LEFT JOIN pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
  UNION ALL SELECT 'relation ' || p.oid::regclass, concat_ws(' ', 'constraint', n.conname, pg_get_constraintdef(n.oid), n.convalidated, 'comment', obj_description(n.oid, 'pg_constraint'))
    FROM part p JOIN pg_constraint n ON n.conrelid = p.oid
  UNION ALL SELECT 'relation ' || p.oid::regclass, concat_ws(' ', 'trigger', pg_get_triggerdef(g.oid), g.tgenabled, 'comment', obj_description(g.oid, 'pg_trigger'))
    FROM part p JOIN pg_trigger g ON g.tgrelid = p.oid AND NOT g.tgisinternal
  UNION ALL SELECT 'relation ' || p.oid::regclass, concat_ws(' ', 'rule', pg_get_ruledef(r.oid), r.ev_enabled)
    FROM part p JOIN pg_rewrite r ON r.ev_class = p.oid
  UNION ALL SELECT 'relation ' || p.oid::regclass, concat_ws(' ', 'policy', o.polname, o.polcmd, pg_get_expr(o.polqual, o.polrelid))
    FROM part p JOIN pg_policy o ON o.polrelid = p.oid
  UNION ALL SELECT 'relation ' || p.oid::regclass, concat_ws(' ', 'sequence', s.seqtypid::regtype, s.seqstart, s.seqincrement, s.seqmax, s.seqmin, s.seqcache, s.seqcycle)
    FROM part p JOIN pg_sequence s ON s.seqrelid = p.oid
  ) described
 ORDER BY object COLLATE "C", what COLLATE "C";
