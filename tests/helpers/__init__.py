"""What tests share. No test is in here."""
