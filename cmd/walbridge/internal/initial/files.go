package initial

import (
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/mapping"
	"github.com/walbridge/walbridge/mapping/format"
	"github.com/walbridge/walbridge/mapping/nearest"
	"github.com/walbridge/walbridge/mapping/schema"
)

// ConfigFile and CatalogFile are how these files are named.
const (
	ConfigFile  = "walbridge.yaml"
	CatalogFile = "catalog.json"
)

// Options say what the configuration is of.
type Options struct {
	// Database and Redis are addresses. One with a password is not written down.
	Database, Redis string
	// Targets are at least one; mappings lead to the first.
	Targets []Target
}

// Target is a target of the configuration.
type Target struct{ Name, Type, URL string }

// File is a file to be written, by its path with slashes.
type File struct {
	Path string
	Text []byte
}

// Variable is one of the environment that the configuration needs.
type Variable struct{ Name, For string }

// Files gives the configuration, the schemas and a mapping file for each table.
func Files(o Options, tables []Table) ([]File, error) {
	text, err := configFile(o)
	if err != nil {
		return nil, err
	}
	files := []File{{ConfigFile, text}, {config.SchemaFile, config.Schema()}, {schema.File, schema.Mapping()}}
	taken, objects := map[string]bool{}, map[string]bool{}
	for i := range tables {
		t := &tables[i]
		name := mappingName(t.Name, o.Targets[0].Name, taken)
		at := path.Join("mappings", name+".yaml")
		text, err := mappingFile(at, name, o.Targets[0].Name+"/"+freeObject(t.Name, objects), t)
		if err != nil {
			return nil, err
		}
		files = append(files, File{at, text})
	}
	return files, nil
}

// Catalog gives what mappings are compiled against without the database.
func Catalog(tables []Table) *mapping.MemoryCatalog {
	c := &mapping.MemoryCatalog{TableColumns: map[cdc.Table][]mapping.Column{}}
	for i := range tables {
		c.TableColumns[tables[i].Name] = tables[i].sent()
	}
	return c
}

// Variables are those of the environment that have no default.
func Variables(o Options) (out []Variable) {
	for _, v := range o.values() {
		if v.fallback == "" {
			out = append(out, Variable{v.name, v.what})
		}
	}
	for _, t := range o.Targets {
		of := account(t)
		switch t.Type {
		case "salesforce":
			out = append(out, Variable{of + "_CLIENT_ID", "the app that logs in to target " + t.Name}, Variable{of + "_CLIENT_SECRET", "its secret"})
		case "hubspot":
			out = append(out, Variable{of + "_TOKEN", "the token for target " + t.Name})
		}
	}
	return out
}

// value is what the configuration takes from the environment.
type value struct{ name, fallback, what string }

func (o Options) values() []value {
	out := []value{{"DATABASE_URL", shown(o.Database), "the address of the database"}, {"REDIS_URL", shown(o.Redis), "the address of Redis"}}
	for _, t := range o.Targets {
		out = append(out, value{variable(t.Name), shown(t.URL), "the address of target " + t.Name})
	}
	return out
}

// variable names the variable of a target's address.
func variable(target string) string {
	name := strings.ToUpper(strings.ReplaceAll(target, "-", "_")) + "_URL"
	if name[0] >= '0' && name[0] <= '9' {
		name = "TARGET_" + name
	}
	return name
}

// shown gives an address if it may stand in a file: without a password, or anything that
// could be one. The part of a reference to the environment ends with a brace.
func shown(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || strings.ContainsAny(address, "}\n\r") {
		return ""
	}
	if _, has := u.User.Password(); has {
		return ""
	}
	for key := range u.Query() {
		if key != "sslmode" {
			return ""
		}
	}
	return address
}

func (v value) yaml() string {
	if v.fallback == "" {
		return "${" + v.name + "}"
	}
	text := "${" + v.name + ":-" + v.fallback + "}"
	if plainAddress.MatchString(text) {
		return text
	}
	return format.Scalar(text)
}

var plainAddress = regexp.MustCompile(`^\$\{[A-Za-z0-9$/:@._?=&%+,~-]+\}$`)

func configFile(o Options) ([]byte, error) {
	var b strings.Builder
	v := o.values()
	fmt.Fprintf(&b, `# yaml-language-server: $schema=./%s

# Where the bridge takes changes from, where it keeps them, and where it sends them. All
# keys are in the schema that the line above names, with their defaults.

# Names the slot, the publication and the keys in Redis: no other bridge may have it.
name: %s
postgres:
  # ${NAME} is a variable of the environment; ${NAME:-default} has a default.
  url: %s
  # wal_budget: 10GiB # how much WAL the slot may keep on the server before that is told
redis:
  url: %s
  # retention: {age: 72h, bytes: 4GiB} # of what all targets have read
mappings: [mappings/*.yaml]
targets:
`, config.SchemaFile, format.Scalar(bridgeName(o.Database)), v[0].yaml(), v[1].yaml())
	for i, t := range o.Targets {
		fmt.Fprintf(&b, "  %s:\n    type: %s\n    url: %s\n", format.Scalar(t.Name), t.Type, v[2+i].yaml())
		b.WriteString(login(t))
	}
	b.WriteString("# The console, the metrics and the health.\n# listen: 127.0.0.1:8642\n# log: {level: info, format: json}\n")
	return format.Source(ConfigFile, []byte(b.String()))
}

// account begins the names of the variables by which a target is logged in to.
func account(t Target) string { return strings.TrimSuffix(variable(t.Name), "_URL") }

// login gives the lines by which a target is logged in to, to be completed.
func login(t Target) string {
	of := account(t)
	switch t.Type {
	case "salesforce":
		return fmt.Sprintf("    login: {grant: client_credentials, client_id: \"${%s_CLIENT_ID}\", client_secret: \"${%s_CLIENT_SECRET}\"}\n", of, of)
	case "hubspot":
		return fmt.Sprintf("    token: ${%s_TOKEN}\n", of)
	case "postgres":
		return "    # schema: public\n    # create: true # makes the tables and columns that are missing\n"
	}
	return fmt.Sprintf("    # headers: {Authorization: \"Bearer ${%s_TOKEN}\"}\n", of)
}

var notInName = regexp.MustCompile(`[^a-z0-9_]+`)

// bridgeName names the bridge as the database.
func bridgeName(address string) string {
	name := ""
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		name = strings.Trim(notInName.ReplaceAllString(strings.ToLower(strings.Trim(u.Path, "/")), "_"), "_")
	}
	if name == "" {
		return "walbridge"
	}
	return name[:min(len(name), 40)]
}

var notInMapping = regexp.MustCompile(`[^a-z0-9_]+`)

// mappingName names a mapping by its table and target, unlike all that are taken.
func mappingName(t cdc.Table, target string, taken map[string]bool) string {
	name := t.Name
	if t.Schema != "public" {
		name = t.Schema + "-" + t.Name
	}
	name = strings.Trim(notInMapping.ReplaceAllString(strings.ToLower(name), "-"), "-")
	if name == "" {
		name = "table"
	}
	base := name + "-to-" + target
	name = base
	for n := 2; taken[name]; n++ {
		name = fmt.Sprintf("%s-%d", base, n)
	}
	taken[name] = true
	return name
}

var targetName = regexp.MustCompile(`^[a-z0-9_-]{1,63}$`)

// Sandbox is where walbridge sandbox serves a target.
const Sandbox = "http://127.0.0.1:8650/crm/batch"

// ParseTarget reads NAME=TYPE@URL; without the address it is that of a simulated target.
// The address is in no error: it may hold a key.
func ParseTarget(text string) (Target, error) {
	name, rest, ok := strings.Cut(text, "=")
	kind, address, has := strings.Cut(rest, "@")
	if !has {
		address = Sandbox
	}
	const example = "write NAME=TYPE@URL, such as crm=http@https://crm.example.com/batch"
	types := config.TargetTypes()
	switch u, err := url.Parse(address); {
	case !ok || !targetName.MatchString(name):
		return Target{}, fmt.Errorf("--target: it begins with no name of lower-case letters, digits, - and _; %s", example)
	case !slices.Contains(types, kind):
		return Target{}, fmt.Errorf("--target %s: unknown type; %s", name, nearest.Hint(kind, types, "known types are "+nearest.List(types)))
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return Target{}, fmt.Errorf("--target %s: not a web address; %s", name, example)
	}
	return Target{Name: name, Type: kind, URL: address}, nil
}
