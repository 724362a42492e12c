// Command dockerfile answers, for each JSON line on standard input, what BuildKit and moby's pattern matcher make of it.
// It is the peer that tests/kubefile_oracle.rs compares the kubefile room with.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

type request struct {
	Kind   string            `json:"kind"`
	Text   string            `json:"text"`
	Escape string            `json:"escape"`
	Env    map[string]string `json:"env"`
	Paths  []string          `json:"paths"`
}

type object = map[string]any

func main() {
	in := bufio.NewReader(os.Stdin)
	out := bufio.NewWriter(os.Stdout)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	for {
		line, err := in.ReadBytes('\n')
		if len(line) == 0 && err != nil {
			break
		}
		var r request
		if err := json.Unmarshal(line, &r); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		if err := encoder.Encode(answer(r)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	if err := out.Flush(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func answer(r request) (result object) {
	defer func() {
		if p := recover(); p != nil {
			result = object{"error": fmt.Sprint("panic: ", p)}
		}
	}()
	var err error
	switch r.Kind {
	case "file":
		result, err = file(r)
	case "word":
		result, err = word(r)
	case "ignore":
		result, err = ignore(r)
	case "glob":
		result, err = glob(r)
	default:
		err = errors.New("unknown kind")
	}
	if err != nil {
		return object{"error": err.Error()}
	}
	return result
}

func environment(env map[string]string) shell.EnvGetter {
	var list []string
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	return shell.EnvsFromSlice(list)
}

func word(r request) (object, error) {
	lex := shell.NewLex([]rune(r.Escape)[0])
	one, _, err := lex.ProcessWord(r.Text, environment(r.Env))
	if err != nil {
		return nil, err
	}
	many, err := lex.ProcessWords(r.Text, environment(r.Env))
	if err != nil {
		return nil, err
	}
	raw := shell.NewLex('\\')
	raw.SkipProcessQuotes = true
	body, _, err := raw.ProcessWord(r.Text, environment(r.Env))
	if err != nil {
		body = "error"
	}
	return object{"word": one, "words": append([]string{}, many...), "body": body}, nil
}

func ignore(r request) (object, error) {
	patterns, err := ignorefile.ReadAll(strings.NewReader(r.Text))
	if err != nil {
		return nil, err
	}
	decisions := []bool{}
	for _, path := range r.Paths {
		matched, err := patternmatcher.MatchesOrParentMatches(path, patterns)
		if err != nil {
			return nil, err
		}
		decisions = append(decisions, matched)
	}
	return object{"ignored": decisions}, nil
}

func glob(r request) (object, error) {
	decisions := []bool{}
	for _, path := range r.Paths {
		matched, err := filepath.Match(r.Text, path)
		if err != nil {
			return nil, err
		}
		decisions = append(decisions, matched)
	}
	return object{"matched": decisions}, nil
}

func file(r request) (object, error) {
	parsed, err := parser.Parse(strings.NewReader(r.Text))
	if err != nil {
		return nil, err
	}
	stages, globals, err := instructions.Parse(parsed.AST, nil)
	if err != nil {
		return nil, err
	}
	if len(stages) == 0 {
		return nil, errors.New("no stages")
	}
	lex := shell.NewLex(parsed.EscapeToken)
	expand := func(text string) (string, error) {
		result, _, err := lex.ProcessWord(text, environment(r.Env))
		return result, err
	}
	global := []object{}
	for _, arg := range globals {
		for _, one := range arg.Args {
			if _, err := expand(one.ValueString()); err != nil {
				return nil, err
			}
		}
		global = append(global, dump(&arg))
	}
	all := []object{}
	for _, stage := range stages {
		base, err := expand(stage.BaseName)
		if err != nil {
			return nil, err
		}
		if base == "" {
			return nil, errors.New("blank base")
		}
		platform, err := expand(stage.Platform)
		if err != nil {
			return nil, err
		}
		commands := []object{}
		for _, command := range stage.Commands {
			one, err := both(command, lex, r.Env, expand, parsed.EscapeToken)
			if err != nil {
				return nil, err
			}
			commands = append(commands, one)
		}
		all = append(all, object{
			"base": stage.BaseName, "name": stage.Name, "platform": stage.Platform, "text": stage.SourceCode,
			"resolved": base, "resolved_platform": platform, "instructions": commands, "lines": lines(stage.Location),
		})
	}
	return object{
		"escape": string(parsed.EscapeToken), "global": global, "stages": all, "empty_lines": len(parsed.Warnings),
	}, nil
}

func lines(ranges []parser.Range) []int {
	return []int{ranges[0].Start.Line, ranges[len(ranges)-1].End.Line}
}

// both is an instruction as written and as expanded.
func both(
	command instructions.Command, lex *shell.Lex, env map[string]string,
	expand instructions.SingleWordExpander, escape rune,
) (object, error) {
	result := object{
		"written": dump(command), "lines": lines(command.Location()), "text": command.(fmt.Stringer).String(),
	}
	switch c := command.(type) {
	case *instructions.ArgCommand:
		for _, arg := range c.Args {
			if _, err := expand(arg.ValueString()); err != nil {
				return nil, err
			}
		}
		return result, nil
	case *instructions.ExposeCommand:
		for _, port := range c.Ports {
			if _, err := lex.ProcessWords(port, environment(env)); err != nil {
				return nil, err
			}
		}
		return result, nil
	case *instructions.OnbuildCommand:
		if escape != '\\' {
			return result, nil
		}
		parsed, err := parser.Parse(strings.NewReader(c.Expression))
		if err != nil {
			return nil, err
		}
		trigger, err := instructions.ParseCommand(parsed.AST.Children[0])
		if err != nil {
			return nil, err
		}
		result["trigger"] = dump(trigger)
		return result, nil
	case *instructions.CopyCommand:
		from, _, err := lex.ProcessWord(c.From, environment(nil))
		if err != nil {
			return nil, err
		}
		if from != c.From {
			return nil, errors.New("variable in --from")
		}
	}
	if c, ok := command.(instructions.SupportsSingleWordExpansion); ok {
		if err := c.Expand(expand); err != nil {
			return nil, err
		}
	}
	if c, ok := command.(instructions.SupportsSingleWordExpansionRaw); ok {
		raw := shell.NewLex('\\')
		raw.SkipProcessQuotes = true
		err := c.ExpandRaw(func(text string) (string, error) {
			result, _, err := raw.ProcessWord(text, environment(env))
			return result, err
		})
		if err != nil {
			return nil, err
		}
	}
	result["expanded"] = dump(command)
	return result, nil
}

func pairs(all instructions.KeyValuePairs) [][]any {
	list := [][]any{}
	for _, pair := range all {
		list = append(list, []any{pair.Key, pair.Value, pair.NoDelim})
	}
	return list
}

func strs(list []string) []string { return append([]string{}, list...) }

func files(sources *instructions.SourcesAndDest, o object) {
	inline := [][]any{}
	for _, content := range sources.SourceContents {
		inline = append(inline, []any{content.Path, content.Data})
	}
	o["paths"], o["inline"], o["destination"] = strs(sources.SourcePaths), inline, sources.DestPath
}

func mounts(run *instructions.RunCommand) []object {
	list := []object{}
	for _, m := range instructions.GetMounts(run) {
		list = append(list, object{
			"type": string(m.Type), "from": m.From, "source": m.Source, "target": m.Target, "ro": m.ReadOnly,
			"size": m.SizeLimit, "id": m.CacheID, "sharing": string(m.CacheSharing), "required": m.Required,
			"env": m.Env, "mode": m.Mode, "uid": m.UID, "gid": m.GID,
		})
	}
	return list
}

func dump(command instructions.Command) object {
	o := object{"op": strings.ToUpper(command.Name())}
	switch c := command.(type) {
	case *instructions.AddCommand:
		files(&c.SourcesAndDest, o)
		o["chown"], o["chmod"], o["link"], o["exclude"] = c.Chown, c.Chmod, c.Link, strs(c.ExcludePatterns)
		o["checksum"], o["keep_git_dir"], o["unpack"] = c.Checksum, c.KeepGitDir, c.Unpack
	case *instructions.CopyCommand:
		files(&c.SourcesAndDest, o)
		o["chown"], o["chmod"], o["link"], o["exclude"] = c.Chown, c.Chmod, c.Link, strs(c.ExcludePatterns)
		o["from"], o["parents"] = c.From, c.Parents
	case *instructions.ArgCommand:
		list := [][]any{}
		for _, arg := range c.Args {
			list = append(list, []any{arg.Key, arg.Value})
		}
		o["args"] = list
	case *instructions.EnvCommand:
		o["pairs"] = pairs(c.Env)
	case *instructions.LabelCommand:
		o["pairs"] = pairs(c.Labels)
	case *instructions.RunCommand:
		o["json"], o["command"] = !c.PrependShell, strs(c.CmdLine)
		heredocs := [][]any{}
		for _, file := range c.Files {
			heredocs = append(heredocs, []any{file.Name, file.Data, file.Chomp})
		}
		devices := [][]any{}
		for _, device := range instructions.GetDevices(c) {
			devices = append(devices, []any{device.Name, device.Required})
		}
		o["heredocs"], o["mounts"], o["devices"] = heredocs, mounts(c), devices
		o["network"], o["security"] = instructions.GetNetwork(c), instructions.GetSecurity(c)
	case *instructions.CmdCommand:
		o["json"], o["command"] = !c.PrependShell, strs(c.CmdLine)
	case *instructions.EntrypointCommand:
		o["json"], o["command"] = !c.PrependShell, strs(c.CmdLine)
	case *instructions.HealthCheckCommand:
		h := c.Health
		o["test"], o["retries"] = strs(h.Test), h.Retries
		o["times"] = []int64{int64(h.Interval), int64(h.Timeout), int64(h.StartPeriod), int64(h.StartInterval)}
	case *instructions.ExposeCommand:
		ports := strs(c.Ports)
		sort.Strings(ports)
		o["values"] = ports
	case *instructions.MaintainerCommand:
		o["values"] = []string{c.Maintainer}
	case *instructions.OnbuildCommand:
		o["values"] = []string{c.Expression}
	case *instructions.ShellCommand:
		o["values"] = strs(c.Shell)
	case *instructions.StopSignalCommand:
		o["values"] = []string{c.Signal}
	case *instructions.UserCommand:
		o["values"] = []string{c.User}
	case *instructions.VolumeCommand:
		o["values"] = strs(c.Volumes)
	case *instructions.WorkdirCommand:
		o["values"] = []string{c.Path}
	}
	return o
}
