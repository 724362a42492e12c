// Renders templates with Go's text/template, Sprig and Helm's helpers: one JSON case a line in, one answer a line out.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"sort"
	"strings"
	"text/template"

	"github.com/BurntSushi/toml"
	"github.com/Masterminds/sprig/v3"
	"sigs.k8s.io/yaml"
)

type testCase struct {
	Template string          `json:"template"`
	Data     json.RawMessage `json:"data"`
}

type answer struct {
	Output *string `json:"output,omitempty"`
	Error  string  `json:"error,omitempty"`
}

func toYAML(v any) string {
	data, err := yaml.Marshal(v)
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(data), "\n")
}

func fromYAML(text string) map[string]any {
	m := map[string]any{}
	if err := yaml.Unmarshal([]byte(text), &m); err != nil {
		m["Error"] = err.Error()
	}
	return m
}

func fromYAMLArray(text string) []any {
	a := []any{}
	if err := yaml.Unmarshal([]byte(text), &a); err != nil {
		a = []any{err.Error()}
	}
	return a
}

func fromJSONArray(text string) []any {
	a := []any{}
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		a = []any{err.Error()}
	}
	return a
}

func toTOML(v any) string {
	var b bytes.Buffer
	if err := toml.NewEncoder(&b).Encode(v); err != nil {
		return err.Error()
	}
	return b.String()
}

func required(warning string, value any) (any, error) {
	if value == nil || value == "" {
		return value, errors.New(warning)
	}
	return value, nil
}

// The order of Go's maps is random: sorted here, as the engine under test promises.
func sortedKeys(dicts ...map[string]any) []string {
	out := []string{}
	for _, d := range dicts {
		keys := []string{}
		for k := range d {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		out = append(out, keys...)
	}
	return out
}

func sortedValues(d map[string]any) []any {
	out := []any{}
	for _, k := range sortedKeys(d) {
		out = append(out, d[k])
	}
	return out
}

func render(c testCase) (text string, err error) {
	var data any
	if err := json.Unmarshal(c.Data, &data); err != nil {
		return "", err
	}
	t := template.New("case")
	funcs := sprig.TxtFuncMap()
	funcs["toYaml"], funcs["fromYaml"], funcs["fromYamlArray"] = toYAML, fromYAML, fromYAMLArray
	funcs["fromJsonArray"], funcs["required"], funcs["toToml"] = fromJSONArray, required, toTOML
	funcs["keys"], funcs["values"] = sortedKeys, sortedValues
	funcs["include"] = func(name string, data any) (string, error) {
		var b bytes.Buffer
		err := t.ExecuteTemplate(&b, name, data)
		return b.String(), err
	}
	funcs["tpl"] = func(text string, data any) (string, error) {
		clone, err := t.Clone()
		if err != nil {
			return "", err
		}
		inner, err := clone.New("tpl").Parse(text)
		if err != nil {
			return "", err
		}
		var b bytes.Buffer
		err = inner.Execute(&b, data)
		return b.String(), err
	}
	if _, err := t.Funcs(funcs).Parse(c.Template); err != nil {
		return "", err
	}
	var b bytes.Buffer
	err = t.Execute(&b, data)
	return b.String(), err
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 16<<20)
	out := json.NewEncoder(os.Stdout)
	for in.Scan() {
		var c testCase
		var a answer
		if err := json.Unmarshal(in.Bytes(), &c); err != nil {
			a.Error = "bad case: " + err.Error()
		} else if text, err := render(c); err != nil {
			a.Error = err.Error()
		} else {
			a.Output = &text
		}
		if err := out.Encode(a); err != nil {
			panic(err)
		}
	}
	if err := in.Err(); err != nil {
		panic(err)
	}
}
