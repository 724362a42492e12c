// Answers what Helm's own library makes of YAML, `--set` texts, schemas and charts: one JSON question a line in, one
// answer a line out.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path"
	"sort"
	"strings"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/strvals"
	"sigs.k8s.io/yaml"
)

type question struct {
	Ask string `json:"ask"`
	// yaml, set, schema
	Text   string         `json:"text"`
	Kind   string         `json:"kind"`
	Values map[string]any `json:"values"`
	// render
	Files       map[string][]byte `json:"files"`
	ValuesFiles []string          `json:"values_files"`
	Set         [][2]string       `json:"set"`
	Kube        string            `json:"kube"`
	APIs        []string          `json:"apis"`
	Upgrade     bool              `json:"upgrade"`
}

type answer struct {
	Value    any               `json:"value,omitempty"`
	Rendered map[string]string `json:"rendered,omitempty"`
	Error    string            `json:"error,omitempty"`
}

func setInto(kind, text string, values map[string]any) error {
	switch kind {
	case "set":
		return strvals.ParseInto(text, values)
	case "set-string":
		return strvals.ParseIntoString(text, values)
	case "set-json":
		return strvals.ParseJSON(text, values)
	case "set-literal":
		return strvals.ParseLiteralInto(text, values)
	case "set-file":
		read := func(name []rune) (any, error) { return "text of " + string(name), nil }
		return strvals.ParseIntoFile(text, values, read)
	}
	return fmt.Errorf("unknown kind %q", kind)
}

func mergeMaps(a, b map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range a {
		out[k] = v
	}
	for k, v := range b {
		if m, ok := v.(map[string]any); ok {
			if old, ok := out[k].(map[string]any); ok {
				out[k] = mergeMaps(old, m)
				continue
			}
		}
		out[k] = v
	}
	return out
}

func render(q question) (map[string]string, error) {
	var files []*loader.BufferedFile
	names := []string{}
	for name := range q.Files {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		files = append(files, &loader.BufferedFile{Name: name, Data: q.Files[name]})
	}
	loaded, err := loader.LoadFiles(files)
	if err != nil {
		return nil, err
	}
	values := map[string]any{}
	for _, text := range q.ValuesFiles {
		current := map[string]any{}
		if err := yaml.Unmarshal([]byte(text), &current); err != nil {
			return nil, err
		}
		values = mergeMaps(values, current)
	}
	for _, s := range q.Set {
		if err := setInto(s[0], s[1], values); err != nil {
			return nil, err
		}
	}
	caps := chartutil.DefaultCapabilities.Copy()
	if q.Kube != "" {
		version, err := chartutil.ParseKubeVersion(q.Kube)
		if err != nil {
			return nil, err
		}
		caps.KubeVersion = *version
	}
	caps.APIVersions = append(append(chartutil.VersionSet{}, caps.APIVersions...), q.APIs...)
	return renderLoaded(loaded, values, caps, q.Upgrade)
}

func renderLoaded(loaded *chart.Chart, values map[string]any, caps *chartutil.Capabilities, upgrade bool) (map[string]string, error) {
	if loaded.Metadata.Type != "" && loaded.Metadata.Type != "application" {
		return nil, fmt.Errorf("%s charts are not installable", loaded.Metadata.Type)
	}
	if err := action.CheckDependencies(loaded, loaded.Metadata.Dependencies); err != nil {
		return nil, err
	}
	if err := chartutil.ProcessDependenciesWithMerge(loaded, values); err != nil {
		return nil, err
	}
	options := chartutil.ReleaseOptions{
		Name: "release-name", Namespace: "default", Revision: 1, IsInstall: !upgrade, IsUpgrade: upgrade,
	}
	top, err := chartutil.ToRenderValues(loaded, values, options, caps)
	if err != nil {
		return nil, err
	}
	if range_ := loaded.Metadata.KubeVersion; range_ != "" && !chartutil.IsCompatibleRange(range_, caps.KubeVersion.String()) {
		return nil, errors.New("chart requires kubeVersion: " + range_)
	}
	rendered, err := engine.Render(loaded, top)
	for name := range rendered {
		if path.Base(name) == "NOTES.txt" {
			delete(rendered, name)
		}
	}
	return rendered, err
}

func reply(q question) answer {
	switch q.Ask {
	case "yaml":
		var value any
		if err := yaml.Unmarshal([]byte(q.Text), &value); err != nil {
			return answer{Error: err.Error()}
		}
		return answer{Value: value}
	case "set":
		values := q.Values
		if values == nil {
			values = map[string]any{}
		}
		if err := setInto(q.Kind, q.Text, values); err != nil {
			return answer{Error: err.Error()}
		}
		return answer{Value: values}
	case "schema":
		if err := chartutil.ValidateAgainstSingleSchema(q.Values, []byte(q.Text)); err != nil {
			return answer{Error: err.Error()}
		}
		return answer{Value: true}
	case "api-versions":
		return answer{Value: chartutil.DefaultVersionSet}
	case "render":
		rendered, err := render(q)
		if err != nil {
			return answer{Error: err.Error()}
		}
		return answer{Rendered: rendered}
	}
	return answer{Error: "bad question: " + q.Ask}
}

func main() {
	log.SetOutput(io.Discard)
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := json.NewEncoder(os.Stdout)
	for {
		line, err := in.ReadString('\n')
		if line = strings.TrimSpace(line); line != "" {
			var q question
			var a answer
			decoder := json.NewDecoder(bytes.NewReader([]byte(line)))
			if err := decoder.Decode(&q); err != nil {
				a.Error = "bad question: " + err.Error()
			} else {
				a = reply(q)
			}
			if err := out.Encode(a); err != nil {
				panic(err)
			}
		}
		if err != nil {
			return
		}
	}
}
