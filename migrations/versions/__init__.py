"""One file a migration; the four digits that its name begins with are its revision."""
