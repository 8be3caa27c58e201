package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
)

// Conduct starts so many processes, which call [Serve], has them work by the plan at the same time, and returns what they
// did. It calls watch whenever one has said what it did. When ctx ends, it has them end early and does as ever. The error
// says which processes failed; what they did until then, and what the others did, counts.
func Conduct(ctx context.Context, processes int, command func() *exec.Cmd, p Plan, watch func(*Sum)) (*Sum, error) {
	all, err := start(processes, command)
	defer context.AfterFunc(ctx, all.end)()
	if err == nil {
		err = all.begin(p)
	}
	if err != nil {
		all.end()
	}
	sum := newSum()
	slices, failed := all.read()
	for s := range slices {
		err = errors.Join(err, sum.add(s.n, s.Slice))
		watch(sum)
	}
	return sum, errors.Join(err, failed())
}

type process struct {
	number  int // from 1
	command *exec.Cmd
	stdin   io.WriteCloser
	stdout  *json.Decoder
	stderr  bytes.Buffer
}

type processes []*process

// start starts processes; those that it started if it fails.
func start(n int, command func() *exec.Cmd) (processes, error) {
	var all processes
	for number := range n {
		p := &process{number: number + 1, command: command()}
		if err := p.start(); err != nil {
			return all, fmt.Errorf("start process %d: %w", p.number, err)
		}
		all = append(all, p)
	}
	return all, nil
}

func (p *process) start() (err error) {
	if p.stdin, err = p.command.StdinPipe(); err != nil {
		return err
	}
	stdout, err := p.command.StdoutPipe()
	if err != nil {
		return err
	}
	p.stdout = json.NewDecoder(stdout)
	p.command.Stderr = &p.stderr
	return p.command.Start()
}

// begin gives the processes the plan once all are ready.
func (all processes) begin(p Plan) error {
	for _, one := range all {
		if err := one.stdout.Decode(&ready{}); err != nil {
			return fmt.Errorf("process %d does not work", one.number) // why is what it says when it has ended
		}
	}
	for _, one := range all {
		if err := json.NewEncoder(one.stdin).Encode(p); err != nil {
			return fmt.Errorf("give process %d the plan: %w", one.number, err)
		}
	}
	return nil
}

// end has the processes end what they are doing.
func (all processes) end() {
	for _, p := range all {
		_ = p.stdin.Close() // it may have ended already
	}
}

// A numbered slice is the n-th that a process sent, counted from 0.
type numbered struct {
	n int
	Slice
}

// read returns what the processes send, until all have ended, and a function that then says which failed.
func (all processes) read() (<-chan numbered, func() error) {
	slices := make(chan numbered)
	errs := make([]error, len(all))
	var readers sync.WaitGroup
	for i, p := range all {
		readers.Go(func() { errs[i] = p.read(slices) })
	}
	go func() {
		readers.Wait()
		close(slices)
	}()
	return slices, func() error { return errors.Join(errs...) }
}

// read sends on what the process sends, and returns how it ended.
func (p *process) read(to chan<- numbered) error {
	var err error
	for n := 0; err == nil; n++ {
		var s Slice
		if err = p.stdout.Decode(&s); err == nil {
			to <- numbered{n, s}
		}
	}
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		_ = p.command.Process.Kill() // nobody reads what else it has to say, so that it might never end
	} else {
		err = nil
	}
	if ended := p.command.Wait(); ended != nil {
		err = fmt.Errorf("%w %s", ended, strings.TrimSpace(p.stderr.String()))
	}
	if err != nil {
		return fmt.Errorf("process %d: %w", p.number, err)
	}
	return nil
}
