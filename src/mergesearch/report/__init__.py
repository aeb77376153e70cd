"""What a person sees of a run: pure functions of records and state, and the live view."""
