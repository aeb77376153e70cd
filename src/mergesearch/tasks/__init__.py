"""What task files may call: checks of answers, and made-up data sets."""
