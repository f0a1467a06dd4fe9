package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
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
