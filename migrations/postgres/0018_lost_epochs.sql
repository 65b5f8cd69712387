-- compatible: 0003_compatible_functions
CREATE TABLE "tidings"."lost_epochs" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "tidings"."lost_epochs_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"epoch" text COLLATE "C" NOT NULL,
	"parent" text COLLATE "C" NOT NULL,
	"seq" bigint NOT NULL,
	CONSTRAINT "lost_epochs_epoch_unique" UNIQUE("epoch")
);
