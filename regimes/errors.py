"""The ways in which something can be wrong, by whose turn it is to act.

RegimesError
├── ConfigError     the operator: a setting or an argument
├── DataError       the sender: an observation, a file, a frame
├── VenueError      the exchange: blocked, banned, gone
└── StorageError    the database: away, full, of another version
"""


class RegimesError(Exception):
    """Base of every error this package raises on purpose."""


class ConfigError(RegimesError):
    """A setting is wrong. The text names file or variable, key, value, rule and remedy."""


class DataError(RegimesError):
    """Data that came in cannot be used. The text names its place and what is wrong with it."""


class VenueError(RegimesError):
    """An exchange will not serve us, and asking again will not help. The text says what to change."""


class StorageError(RegimesError):
    """The database cannot be reached, is full, or is of another version. The text says which and what to do."""
