"""Programs of the checkout that the installed package does not need."""
