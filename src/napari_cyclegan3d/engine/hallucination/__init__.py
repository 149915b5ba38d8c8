"""Where did the network invent or delete structure?"""
