package budget

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/purser-go/purser/internal/invalid"
)

// maxWords is the most bytes that what the ledger's caller says in the audit may have: room for a budget of the largest
// kind as it was and as it is.
const maxWords = 16 << 20

// Note adds an entry of the caller's to the audit, for what the ledger does not audit itself: that a list was read, say.
// Action has 1 to 128 bytes of plain text, Tenant, Kind and Target up to 128; Before, After and Details are JSON objects of
// up to 16 MiB or nil. ID, Time and Actor are the ledger's to fill in, whatever e has. It returns after the commit, which
// those who note at the same time share.
//
// Errors: ErrInvalid with the fields, and what the store says; after ErrOutcomeUnknown the entry may stand, and noting it
// again makes another one.
func (l *Ledger) Note(ctx context.Context, e AuditEntry) error {
	e = e.clone() // whoever writes it may still be at it when the caller has left
	e.ID, e.Time, e.Actor = l.options.NewID(), l.now(), l.actor
	err := errors.Join(invalid.OptionalName("actor", e.Actor), e.validate())
	switch {
	case err != nil:
	case l.notes == nil:
		err = l.writeNotes(ctx, []AuditEntry{e})
	default:
		_, err = l.notes.do(ctx, []AuditEntry{e})
	}
	if err != nil {
		return fmt.Errorf("note %q: %w", e.Action, err)
	}
	return nil
}

func (e AuditEntry) clone() AuditEntry {
	e.Before, e.After, e.Details = slices.Clone(e.Before), slices.Clone(e.After), slices.Clone(e.Details)
	return e
}

// validate reports every field of e that is not as [Ledger.Note] says, but for those that the ledger fills in.
func (e AuditEntry) validate() error {
	return errors.Join(
		invalid.OptionalName("tenant", e.Tenant),
		invalid.Name("action", e.Action),
		invalid.OptionalName("kind", e.Kind),
		invalid.OptionalName("target", e.Target),
		validateWords("before", e.Before),
		validateWords("after", e.After),
		validateWords("details", e.Details),
	)
}

func validateWords(field string, object json.RawMessage) error {
	if object == nil {
		return nil
	}
	return validateObject(field, object, maxWords)
}

// flushNotes writes the notes of several callers within FlushTimeout. They were validated, so that none is in the way of
// the others.
func (c *core) flushNotes(ctx context.Context, notes []AuditEntry) error {
	ctx, cancel := c.briefly(ctx)
	defer cancel()
	return c.writeNotes(ctx, notes)
}

func (c *core) writeNotes(ctx context.Context, notes []AuditEntry) error {
	return c.retryUnknown(func() error {
		return c.store.Update(ctx, func(tx Tx) error {
			if err := tx.Fence(ctx, Shared); err != nil {
				return err
			}
			_, err := tx.Apply(ctx, Writes{Audit: notes})
			return err
		})
	})
}

// annotated returns tx, or one that puts the words of the ledger's caller on what is audited.
func (l *Ledger) annotated(tx Tx) Tx {
	if l.annotate == nil {
		return tx
	}
	return &annotatedTx{tx, l.annotate}
}

type annotatedTx struct {
	Tx
	annotate func(*AuditEntry)
}

func (t *annotatedTx) Apply(ctx context.Context, w Writes) (map[CounterKey]Counter, error) {
	entries := slices.Clone(w.Audit)
	var errs []error
	for i := range entries {
		e, said := &entries[i], entries[i].clone()
		t.annotate(&said)
		e.Action, e.Kind, e.Tenant, e.Details = said.Action, said.Kind, said.Tenant, said.Details
		errs = append(errs, e.validate())
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	w.Audit = entries
	return t.Tx.Apply(ctx, w)
}
