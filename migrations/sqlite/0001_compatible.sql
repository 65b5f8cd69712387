ALTER TABLE `epochs` ADD `secret` text;--> statement-breakpoint
ALTER TABLE `head` ADD `level` integer DEFAULT 1 NOT NULL;--> statement-breakpoint
ALTER TABLE `retention` ADD `clock` integer;--> statement-breakpoint
UPDATE `retention` SET `clock` = (SELECT `time` FROM `head` WHERE `seq` > 0);
