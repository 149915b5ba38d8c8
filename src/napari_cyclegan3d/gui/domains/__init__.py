"""The volumes of both domains: what is chosen, shown and checked."""
