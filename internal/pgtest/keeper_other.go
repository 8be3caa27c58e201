//go:build !unix

package pgtest

import "errors"

type keeper struct{}

var errNoKeeper = errors.New("on this system a Postgres for tests is not started: name one in " + ServerVariable)

func newKeeper(string) (*keeper, error) { return nil, errNoKeeper }

func (*keeper) do(string) error { return errNoKeeper }

func (*keeper) close() error { return errNoKeeper }

func (*keeper) makeDir(string) (string, error) { return "", errNoKeeper }

func (*keeper) makeFile(string, string) (string, error) { return "", errNoKeeper }
