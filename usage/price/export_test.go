package price

// Remembered returns how many names l remembers.
func (l *List) Remembered() int { return len(l.found.places) }
