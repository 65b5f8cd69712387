-- compatible: 0001_compatible
-- From here on topics and event names count as often as they are stored. What an older instance stores meanwhile is counted with its topic once, and the log may grow by the rest.
ALTER TABLE `retention` ADD `named_from` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
UPDATE `retention` SET `named_from` = (SELECT `seq` + 1 FROM `head`);
