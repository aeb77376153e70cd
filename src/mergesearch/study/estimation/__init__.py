"""What candidates are worth, told from the items that were scored: values with joint errors."""
