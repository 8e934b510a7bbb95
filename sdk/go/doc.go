// Package skillhost writes skills for skillhost: tools that agents call, in a sandbox.
//
//	type Greet struct {
//		Name string `json:"name" doc:"Whom to greet"`
//	}
//
//	func init() {
//		skillhost.Add(skillhost.Tool[Greet]{
//			Name: "greet", Description: "Greets somebody by name.", ReadOnly: skillhost.Yes,
//			Run: func(call *skillhost.Call, in Greet) (any, error) { return "Hello, " + in.Name + "!", nil },
//		})
//	}
//
//	func main() {}
//
// A component is made of it by `skillhost build`. The package skillhosttest plays the host in tests.
package skillhost
