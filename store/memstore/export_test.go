package memstore

// Begin returns a store that is bound to a transaction of s, and how to end that: with a commit or without.
func (s *Store) Begin() (bound *Store, end func(commit bool) error) {
	s.writing <- struct{}{}
	bound = New(&Options{Now: s.clock})
	bound.committed.Store(s.committed.Load().copy())
	return bound, func(commit bool) error {
		if commit {
			s.committed.Store(bound.committed.Load())
		}
		<-s.writing
		return nil
	}
}
