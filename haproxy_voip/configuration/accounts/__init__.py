"""Users as other systems write them down: Asterisk's and FreePBX's files, and tables."""
