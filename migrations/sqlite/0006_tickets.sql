-- compatible: 0001_compatible
CREATE TABLE `ticket_state` (
	`id` integer PRIMARY KEY NOT NULL,
	`generation` integer NOT NULL,
	`held` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `tickets` (
	`id` text PRIMARY KEY NOT NULL,
	`generation` integer NOT NULL,
	`ends` integer NOT NULL,
	`until` integer NOT NULL,
	`guarded` integer NOT NULL,
	`digest` blob NOT NULL,
	`owner` text NOT NULL,
	`session` text,
	`origin` text NOT NULL,
	`topics` text NOT NULL
);
--> statement-breakpoint
CREATE INDEX `tickets_generation` ON `tickets` (`generation`);--> statement-breakpoint
CREATE INDEX `tickets_ends` ON `tickets` (`ends`);--> statement-breakpoint
CREATE INDEX `tickets_owner` ON `tickets` (`owner`,`ends`);--> statement-breakpoint
INSERT INTO `ticket_state` (`id`, `generation`, `held`) VALUES (1, 0, 0);
