"""One module for each page: its routes, and the view model that its template and its JSON form show."""
