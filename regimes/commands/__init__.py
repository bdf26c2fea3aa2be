"""What each command does; `regimes.cli` only reads its options."""
