-- compatible: 0003_compatible_functions
-- Invariant 10: a message whose time is more than an hour behind what the log remembers of the clock takes its place (`isRefuted` in store/believed-clock.ts). A trigger, so
-- that appends of older programs, which run beside, do the same. It takes retention's lock only then, after the head's, as `tidings.accept_clock` does.
CREATE FUNCTION tidings.refute_clock() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE tidings.retention SET clock = NEW.time WHERE clock - NEW.time > 3600000;
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE TRIGGER refute_clock AFTER UPDATE ON tidings.head FOR EACH ROW WHEN (NEW.seq > OLD.seq) EXECUTE FUNCTION tidings.refute_clock();
