"""The engine: carries out runs. Whether something is sent, repeated, given up or looked for is decided here alone."""
