package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A mutant is one patch.
type mutant struct {
	name    string // of the file, without its ending
	patch   string // the file
	promise int
	pkg     string
	test    string
}

// load returns the mutants in dir whose names contain only. None is an error.
func load(dir, only string) ([]mutant, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*"+only+"*.patch"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no patch named *%s* in %s", only, dir)
	}
	var mutants []mutant
	var faults []error
	for _, file := range files {
		m, err := parse(file)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", file, err))
		}
		mutants = append(mutants, m)
	}
	return mutants, errors.Join(faults...)
}

func parse(file string) (mutant, error) {
	patch, err := filepath.Abs(file)
	if err != nil {
		return mutant{}, err
	}
	content, err := os.ReadFile(patch)
	if err != nil {
		return mutant{}, err
	}
	head := map[string]string{}
	for line := range strings.Lines(string(content)) {
		key, value, ok := strings.Cut(strings.TrimPrefix(line, "# "), ": ")
		if !ok || !strings.HasPrefix(line, "# ") {
			break
		}
		head[key] = strings.TrimSpace(value)
	}
	for _, key := range []string{"promise", "package", "test", "why"} {
		if head[key] == "" {
			return mutant{}, fmt.Errorf("its head says no %q", key)
		}
	}
	promise, err := strconv.Atoi(head["promise"])
	if err != nil || promise < 1 {
		return mutant{}, fmt.Errorf("its promise is %q, want the number of a guarantee", head["promise"])
	}
	return mutant{
		name:    strings.TrimSuffix(filepath.Base(file), ".patch"),
		patch:   patch,
		promise: promise,
		pkg:     head["package"],
		test:    head["test"],
	}, nil
}
