package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/mapping/yamldoc"
	"github.com/walbridge/walbridge/sinks"
)

func TestMistakesInTheCommandLine(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"rnu"}, `unknown command "rnu"; did you mean run? see walbridge --help`},
		{[]string{"nothing-like-it"}, `unknown command "nothing-like-it"; see walbridge --help`},
		{[]string{"run", "walbridge.yaml"}, `walbridge run takes no argument, not "walbridge.yaml"; see walbridge run --help`},
		{[]string{"capture", "--confg", "x"}, "unknown flag: --confg; see walbridge capture --help"},
		{[]string{"demo", "--duration", "20"}, "see walbridge demo --help"},
	} {
		root := rootCommand()
		root.SetArgs(c.args)
		err := root.Execute()
		var usage *usageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: error %v, want %q", c.args, err, c.want)
		}
	}
}

func TestNoArgumentsShowHelp(t *testing.T) {
	var out bytes.Buffer
	root := rootCommand()
	root.SetArgs(nil)
	root.SetOut(&out)
	if err := root.Execute(); err != nil || !strings.Contains(out.String(), "walbridge [command]") {
		t.Errorf("error %v, help %q", err, out.String())
	}
}

// What a target said of a request is not told on the terminal, as it may quote a row.
func TestDescribeKeepsWhatTargetsSay(t *testing.T) {
	said := &sinks.Misconfigured{Err: &sinks.Answer{Status: 400, Message: "the row of Ada is bad", Err: errors.New("the target answered 400")}, Hint: "check it"}
	if got := describe(&cdc.SetupError{What: "target crm cannot be reached", Err: said}); strings.Contains(got, "Ada") || !strings.Contains(got, "the target answered 400") {
		t.Errorf("told %q", got)
	}
	mistake := yamldoc.Errors{{File: "m.yaml", Line: 3, Column: 1, Msg: "unknown key", Excerpt: "3 | fieldz:"}}
	if got := describe(fmt.Errorf("read mappings: %w", mistake)); !strings.Contains(got, "fieldz") {
		t.Errorf("told %q", got)
	}
}
