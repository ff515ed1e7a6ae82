"""Reads the pages of the course, and plays their sessions in terminals. No test is in here."""
