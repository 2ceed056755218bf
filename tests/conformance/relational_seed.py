"""One row of everything the rules are about, as SQL: `{true}` and `{false}` as the engine writes them."""

SEED = """
INSERT INTO registry_tenant (id, name, created_at) VALUES (1, 'One', '2026-01-01 00:00:00');
INSERT INTO registry_site (id, tenant_id, code, name, kind, time_zone, address)
  VALUES (1, 1, 'S', 'Site', 'RESIDENTIAL', 'Asia/Shanghai', '');
INSERT INTO registry_usagepoint (id, tenant_id, site_id, code, name, kind, customer_name, is_protected,
  power_max_w)
  VALUES (1, 1, 1, 'U1', 'a', 'CUSTOMER', '', {false}, 20000), (2, 1, 1, 'U2', 'b', 'CUSTOMER', '',
  {false}, 20000);
INSERT INTO registry_meter (id, tenant_id, site_id, serial_number, make_model, family, address, interval_s,
  memory_days, has_relay, settings, state)
  VALUES (1, 1, 1, 'M1', '', '', '', 900, 62, {false}, '{{}}', 'STOCK'),
         (2, 1, 1, 'M2', '', '', '', 900, 62, {false}, '{{}}', 'STOCK');
INSERT INTO registry_channel (id, tenant_id, meter_id, reading_type, step_numerator, step_denominator,
  is_profiled, has_reads)
  VALUES (1, 1, 1, 'energy_import_register_kwh', 1, 100, {true}, {true}),
         (2, 1, 2, 'energy_import_register_kwh', 1, 100, {true}, {false});
INSERT INTO registry_installation (id, tenant_id, meter_id, usage_point_id, starts_at, ends_at, recorded_at)
  VALUES (1, 1, 1, 1, '2026-01-01 00:00:00', '2026-02-01 00:00:00', '2026-01-01 00:00:00');
INSERT INTO registry_multiplier (id, tenant_id, usage_point_id, numerator, denominator, reason,
  starts_at, recorded_at)
  VALUES (1, 1, 1, 40, 1, '', '2026-01-01 00:00:00', '2026-01-01 00:00:00');
INSERT INTO registry_topology (id, tenant_id, parent_id, child_id, starts_at, ends_at, recorded_at)
  VALUES (1, 1, 1, 2, '2026-01-01 00:00:00', NULL, '2026-01-01 00:00:00');
INSERT INTO billing_tariff (id, tenant_id, code, name) VALUES (1, 1, 'T', 'T');
INSERT INTO billing_tariffversion (id, tariff_id, valid_from_date, document) VALUES (1, 1, '2026-01-01',
  '{{}}');
INSERT INTO billing_contract (id, tenant_id, usage_point_id, tariff_id, starts_at, recorded_at)
  VALUES (1, 1, 1, 1, '2026-01-01 00:00:00', '2026-01-01 00:00:00');
INSERT INTO billing_bill (id, tenant_id, usage_point_id, tariff_version_id, document_key, state,
  starts_at, ends_at,
  currency, total_minor, energy_milliwh, run_id, document, issued_at)
  VALUES (1, 1, 1, 1, 'k1', 'ISSUED', '2026-01-01 00:00:00', '2026-02-01 00:00:00', 'CNY', 100, 5, 1, '{{}}',
  '2026-02-02 00:00:00');
INSERT INTO billing_billline (id, bill_id, position, component, label_code, rate, quantity, unit, unit_price,
  amount_minor, trace) VALUES (1, 1, 1, 'energy', 'x', '', '1', 'kWh', '1', 100, '{{}}');
INSERT INTO audit_auditrecord (id, tenant_id, sequence, recorded_at, actor, verb, subject, detail,
  previous_hash, hash)
  VALUES (1, 1, 1, '2026-01-01 00:00:00', 'a', 'v', 's', '{{}}', '', 'h');
INSERT INTO accounts_user (id, password, is_superuser, username, first_name, last_name, email, is_staff,
  is_active,
  date_joined, tenant_id, role, language)
  VALUES (1, '', {false}, 'u', '', '', '', {false}, {true}, '2026-01-01 00:00:00', 1, 'VIEWER', '');
INSERT INTO commands_command (id, tenant_id, meter_id, kind, reason, state, idempotency_key, requested_by_id,
  requested_at, valid_until, refusal_code)
  VALUES (1, 1, 1, 'DISCONNECT', '', 'REQUESTED', 'k', 1, '2026-01-01 00:00:00', '2026-01-02 00:00:00', '');
INSERT INTO commands_commandstep (id, command_id, at, from_state, to_state, detail)
  VALUES (1, 1, '2026-01-01 00:00:00', '', 'REQUESTED', '{{}}');
INSERT INTO collection_invocationcounter (id, meter_id, next_counter) VALUES (1, 1, 500);
INSERT INTO virtual_node (id, tenant_id, kind, code, name) VALUES (1, 1, 'AREA', 'A', NULL),
  (2, 1, 'AREA', 'B', NULL), (3, 1, 'FEEDER', 'F', NULL), (4, 1, 'CUSTOMER', 'C', NULL);
INSERT INTO virtual_formula (id, tenant_id, usage_point_id, text, terms, made_by, starts_at, recorded_at)
  VALUES (1, 1, 1, '', '[]', '', '2026-01-01 00:00:00', '2026-01-01 00:00:00');
INSERT INTO virtual_areainarea (id, tenant_id, whole_id, part_id, starts_at, recorded_at)
  VALUES (1, 1, 1, 2, '2026-01-01 00:00:00', '2026-01-01 00:00:00');
INSERT INTO virtual_siteinarea (id, tenant_id, whole_id, part_id, starts_at, recorded_at)
  VALUES (1, 1, 1, 1, '2026-01-01 00:00:00', '2026-01-01 00:00:00');
INSERT INTO virtual_pointonfeeder (id, tenant_id, whole_id, part_id, starts_at, recorded_at)
  VALUES (1, 1, 3, 1, '2026-01-01 00:00:00', '2026-01-01 00:00:00');
INSERT INTO virtual_pointofcustomer (id, tenant_id, whole_id, part_id, starts_at, recorded_at)
  VALUES (1, 1, 4, 1, '2026-01-01 00:00:00', '2026-01-01 00:00:00');
INSERT INTO registry_series (id, tenant_id, usage_point_id, quantity, interval_s)
  VALUES (1, 1, 1, 'energy_import', 900);
INSERT INTO vee_storedruleset (id, tenant_id, code, document, recorded_at, made_by)
  VALUES (1, 1, 'r', '{{}}', '2026-01-01 00:00:00', 'a');
INSERT INTO vee_seriesgroup (id, tenant_id, code, name) VALUES (1, 1, 'g', ''), (2, 1, 'h', '');
INSERT INTO vee_groupmember (id, tenant_id, group_id, series_id, recorded_at)
  VALUES (1, 1, 1, 1, '2026-01-01 00:00:00');
INSERT INTO vee_assignment (id, tenant_id, group_id, rule_set_id, starts_date, recorded_at, made_by)
  VALUES (1, 1, 1, 1, '2026-01-01', '2026-01-01 00:00:00', 'a');
INSERT INTO vee_storededit (id, tenant_id, series_id, starts_at, ends_at, energy_milliwh, rejected_milliwh,
  changed_milliwh, reason_code, reason, state, author_id, recorded_at, decision_note)
  VALUES (1, 1, 1, '2026-01-01 00:00:00', '2026-01-01 00:15:00', '[1]', '[2]', 1, 1, '', 'PENDING', 1,
  '2026-01-02 00:00:00', '');
INSERT INTO billing_rebillproposal (id, tenant_id, bill_id, state, data_version, tier_used_milliwh,
  energy_milliwh, held_code, raised_at, looked_at, decided_by, note)
  VALUES (1, 1, 1, 'OPEN', 'v', 0, 5, '', '2026-01-02 00:00:00', '2026-01-02 00:00:00', '', '');
"""
