namespace flopcore {}
