"""What a machine needs for KAT Data, looked at piece by piece."""
