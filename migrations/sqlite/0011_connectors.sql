-- compatible: 0001_compatible
CREATE TABLE `connector_origins` (
	`first` integer PRIMARY KEY NOT NULL,
	`last` integer NOT NULL,
	`origin` text NOT NULL
);
--> statement-breakpoint
CREATE TABLE `connector_owners` (
	`owner` text PRIMARY KEY NOT NULL,
	`until` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `connector_positions` (
	`connector` text NOT NULL,
	`part` text NOT NULL,
	`identity` text NOT NULL,
	`position` integer NOT NULL,
	PRIMARY KEY(`connector`, `part`)
);
--> statement-breakpoint
CREATE TABLE `connectors` (
	`name` text PRIMARY KEY NOT NULL,
	`owner` text NOT NULL,
	`fence` integer NOT NULL,
	`cursor` text NOT NULL,
	`status` text NOT NULL
);
