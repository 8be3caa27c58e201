package main

import "errors"

// closers are what is to be closed at the end, the last one first.
type closers []func() error

func (c *closers) add(closing func() error) { *c = append(*c, closing) }

func (c *closers) close() error {
	var errs []error
	for i := len(*c) - 1; i >= 0; i-- {
		errs = append(errs, (*c)[i]())
	}
	*c = nil
	return errors.Join(errs...)
}
