"""What an operator may say."""
