package main

import (
	"strings"

	"skillhost"
)

// Greet is what greet takes.
type Greet struct {
	Name string `json:"name" doc:"Whom to greet"`
}

func init() {
	skillhost.Add(skillhost.Tool[Greet]{
		Name:        "greet",
		Description: "Greets somebody by name.",
		ReadOnly:    skillhost.Yes,
		Idempotent:  skillhost.Yes,
		Run: func(call *skillhost.Call, in Greet) (any, error) {
			if strings.TrimSpace(in.Name) == "" {
				return nil, skillhost.InvalidInput("the name must not be blank")
			}
			return "Hello, " + in.Name + "!", nil
		},
	})
}

func main() {}
